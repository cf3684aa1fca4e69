import { AppError } from '@coursewright/platform/errors';
import { can } from '@coursewright/course-model/access';
import { isService, rolesOn } from '@coursewright/platform/actor';
import { isId } from '@coursewright/platform/ids';
import type { Files, ImportLines, StoredAsset } from './file-ports.js';
import type { Call } from './ports.js';

/** What the reading of files needs. */
export interface AssetDeps {
  readonly lines: ImportLines;
  readonly files: Files;
}

const HASH = /^[A-Za-z0-9_-]{43}$/;
/** Courses that are named as having a file. */
const MOST_COURSES = 100;

/**
 * A file of a course, for its staff: learners get none before there is a publication that names it. To others it does not exist.
 *
 * @throws AppError not_found ASSET_NOT_FOUND; internal STORED_FILE_MISSING, and STORED_FILE_CORRUPT before the last bytes
 */
export async function getAsset(
  deps: AssetDeps,
  { courseId, hash }: { courseId: string; hash: string },
  { actor }: Call,
): Promise<{ asset: StoredAsset; chunks: AsyncIterable<Uint8Array> }> {
  const maySee = isId(courseId) && (isService(actor) || can(rolesOn(actor, courseId), 'course.read-draft'));
  const asset = maySee && HASH.test(hash) ? await deps.lines.asset(courseId, hash) : undefined;
  if (!asset) throw new AppError('not_found', 'ASSET_NOT_FOUND', { hash });
  return { asset, chunks: deps.files.read(hash) };
}

/** The courses that have a file, at most a hundred of them. For our own services. */
export async function coursesOfAsset({ lines }: Pick<AssetDeps, 'lines'>, hash: string): Promise<string[]> {
  return HASH.test(hash) ? lines.coursesOf(hash, MOST_COURSES) : [];
}
