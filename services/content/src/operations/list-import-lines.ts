import { AppError } from '@coursewright/platform/errors';
import type { KeptPart, Loss } from '../domain/import-report.js';
import { getImport } from './get-import.js';
import type { ImportLines, LinePage } from './file-ports.js';
import type { Call, Imports } from './ports.js';

/** What the listing of an import's lines needs. */
export interface LinesDeps {
  readonly imports: Imports;
  readonly lines: ImportLines;
}

/** Which lines are asked for; the cursor is the ordinal of the first of the page, empty for the first of all. */
export interface LinesAsked {
  readonly id: string;
  readonly cursor: string;
  readonly limit: number;
}

/** Some lines, and the cursor of those that follow; empty at the end. */
export interface Lines<T> {
  readonly items: T[];
  readonly next: string;
}

const MOST = 200;

/**
 * What has no full counterpart, line by line, for those who may see the import.
 *
 * @throws AppError not_found IMPORT_NOT_FOUND; invalid_argument CURSOR_INVALID
 */
export async function listImportLosses(deps: LinesDeps, asked: LinesAsked, call: Call): Promise<Lines<Loss>> {
  const job = await getImport(deps, asked.id, call);
  const page = pageOf(asked);
  const found = await deps.lines.losses(job, { ...page, limit: page.limit + 1 });
  return cut(page, found, ({ source, what, kept }) => ({ source, what, kept }));
}

/**
 * What is kept of the source beside the course, for those who may see the import.
 *
 * @throws AppError not_found IMPORT_NOT_FOUND; invalid_argument CURSOR_INVALID
 */
export async function listImportKept(deps: LinesDeps, asked: LinesAsked, call: Call): Promise<Lines<KeptPart>> {
  const { id } = await getImport(deps, asked.id, call);
  const page = pageOf(asked);
  const found = await deps.lines.kept(id, { ...page, limit: page.limit + 1 });
  return cut(page, found, ({ part }) => part);
}

function pageOf({ cursor, limit }: LinesAsked): LinePage {
  if (!/^\d{0,9}$/.test(cursor)) throw new AppError('invalid_argument', 'CURSOR_INVALID');
  return { from: Number(cursor), limit: Math.min(Math.max(1, limit || 50), MOST) };
}

function cut<T extends { ordinal: number }, R>(
  { limit }: LinePage,
  found: readonly T[],
  show: (line: T) => R,
): Lines<R> {
  const following = found[limit];
  return { items: found.slice(0, limit).map(show), next: following === undefined ? '' : String(following.ordinal) };
}
