import { hashObject } from '@coursewright/course-model/canonical';
import { shortId, toHash } from '@coursewright/platform/ids';
import type { Fields, NodeKind } from './objects.js';

/** The etag of a body or of a list of children that is not there. */
export const NONE = 'none';

/**
 * The etag of a node itself: hash of its kind, fields and parent. Children, siblings, the body and moved ancestors do not
 * count. `parent` is null for the root.
 */
export function selfEtag(node: {
  readonly kind: NodeKind;
  readonly fields: Fields;
  readonly parent: string | null;
}): string {
  const parent = node.parent === null ? null : shortId(node.parent);
  return toHash(hashObject('self', 1, { kind: node.kind, fields: node.fields, parent }));
}

/** Whether two values of fields are the same value. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b))
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => sameValue(item, b[i]));
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => Object.hasOwn(b, name) && sameValue(ownOf(a, name), ownOf(b, name)));
}

function ownOf(object: object, name: string): unknown {
  return Object.hasOwn(object, name) ? (object as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** Whether two sets of fields are the same. */
export function sameFields(a: Fields, b: Fields): boolean {
  return sameValue(a, b);
}
