import { it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { projectLesson } from '@coursewright/course-model/project-lesson';
import type { PlannedNode } from '../src/domain/import-plan.js';
import { renderLesson } from '../src/domain/render.js';
import { archiveFrom, archiveOf, readAll, type ReadCourse } from './support.js';

const CASES = new URL('../../../../shared/data/field-cases/', import.meta.url);
const IMPORT = '0190a000-0000-7000-8000-000000000001';
const present = existsSync(CASES);
if (!present) console.warn(`skipped: ${CASES.pathname} is not there`);
/** A test over an archive of what goes wrong with real courses; skipped, and said so, where they are not at hand. */
export const fieldCase: (name: string, test: () => Promise<void>) => void = present ? it : it.skip;

/** One of those archives as it is. */
export function caseBytes(name: string): Buffer {
  return readFileSync(new URL(`${name}.tar.gz`, CASES));
}

/** One of those archives, read. */
export async function fromCase(name: string): Promise<ReadCourse> {
  return readAll(await archiveOf(caseBytes(name)), IMPORT);
}

/** A course of these files, read. */
export async function fromFiles(files: Record<string, string | Uint8Array>): Promise<ReadCourse> {
  const bytes = Object.entries(files).map(([path, content]) => [path, Buffer.from(content as string)] as const);
  return readAll(archiveFrom(new Map(bytes)), IMPORT);
}

/** A course of one lesson with these blocks; further files beside it. */
export function withBlocks(
  blocks: string,
  files: Record<string, string | Uint8Array> = {},
  attributes = '',
): Promise<ReadCourse> {
  const course = `<course url_name="c" display_name="C"><chapter url_name="u"><sequential url_name="m"><vertical url_name="l" ${attributes}>${blocks}</vertical></sequential></chapter></course>`;
  return fromFiles({ 'course.xml': course, ...files });
}

/** The node with a key. */
export function nodeAt({ nodes }: ReadCourse, key: string): PlannedNode {
  const found = nodes.find((node) => node.source.key === key);
  if (!found) throw new Error(`no ${key} among ${nodes.map((node) => node.source.key).join(', ')}`);
  return found;
}

/** What learners see of a lesson, item by item, by the key of each. */
export function seen(read: ReadCourse, key = 'vertical/l'): Record<string, string> {
  const stored = normalizeLesson(nodeAt(read, key).content, null, () => '');
  if (!stored.ok) throw new Error(JSON.stringify(stored.problems));
  const { doc } = stored.body;
  const keys = new Map(
    [...doc.materials, ...doc.exercises, ...doc.assessments].map(({ id, source }) => [id, source?.key]),
  );
  const page = renderLesson(projectLesson(doc, 'learner'));
  return Object.fromEntries(page.items.map(({ id, html }) => [keys.get(id) ?? id, html]));
}

/** What the report says of a part. */
export function said({ report }: ReadCourse, source: string): string[] {
  return report.losses.filter((loss) => loss.source === source).map((loss) => loss.what);
}
