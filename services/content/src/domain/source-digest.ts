import { createHash } from 'node:crypto';
import { canonicalJson } from '@coursewright/course-model/canonical';
import { PAGE_LISTS, type LessonDocument, type LessonInput } from '@coursewright/course-model/lesson';
import { isNormalizable, normalizeText } from '@coursewright/course-model/text-rules';

/**
 * What tells whether a lesson still is as its source had it: a hash of the items that came from the source, in their order and without
 * their ids, and one of the objectives. Items that somebody wrote here do not count.
 */
export interface SourceDigest {
  items: string;
  objectives: string;
}

/** The digest of the items of a document in normal form. */
export function itemsDigest(doc: LessonDocument, format: string): string {
  const byId = new Map<string, readonly [string, object]>();
  for (const list of PAGE_LISTS) {
    for (const { id, ...item } of doc[list]) if (item.source?.format === format) byId.set(id, [list, item]);
  }
  return hashOf(doc.order.flatMap((id) => [byId.get(id) ?? []].filter((entry) => entry.length > 0)));
}

/** The digest of the objectives that a source gives a lesson. */
export function objectivesDigest({ objectives = [] }: Pick<LessonInput, 'objectives'>): string {
  return hashOf(objectives.map((objective) => storedForm(typeof objective === 'string' ? objective : objective.text)));
}

/** A text as it is stored; one that is refused where it is stored stays as it is. */
export function storedForm(text: string): string {
  return isNormalizable(text) ? normalizeText(text) : text;
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('base64url');
}
