import { createHash } from 'node:crypto';
import { canonicalJson } from '@coursewright/course-model/canonical';
import { AppError } from '@coursewright/platform/errors';
import { idToBytes, longId, shortId, toHash } from '@coursewright/platform/ids';

/** A JSON value as a field of a node holds it. */
export type FieldValue = string | number | boolean | null | readonly FieldValue[];

/** The fields of a node by name; title is among them. */
export type Fields = Readonly<Record<string, FieldValue>>;

/** What a node is; the order is the order of the levels. */
export type NodeKind = 'course' | 'unit' | 'module' | 'lesson' | 'assignment';

/** Where an imported node came from. */
export interface Source {
  readonly format: string;
  readonly key: string;
}

/** A node without its children, which lie in a list object of their own: heads are read without their lists. */
export interface NodeHead {
  readonly type: 'node';
  readonly kind: NodeKind;
  /** UUID. */
  readonly id: string;
  readonly fields: Fields;
  /** Hash of the body in content, or null. */
  readonly body: string | null;
  readonly source: Source | null;
  /** Hash of the list of children; null when there are none. */
  readonly children: string | null;
}

/** A child in its parent's list. */
export interface Entry {
  readonly id: string;
  readonly hash: string;
}

/** A chunk in a list above it: the first id below it, its hash and how many children it holds. */
export interface Ref {
  readonly first: string;
  readonly hash: string;
  readonly count: number;
}

/** A whole short list, or a chunk of a long one. */
export interface LeafList {
  readonly type: 'list';
  readonly level: 0;
  readonly entries: readonly Entry[];
}

/** Chunks of the level below, in order. */
export interface UpperList {
  readonly type: 'list';
  readonly level: number;
  readonly refs: readonly Ref[];
}

/** A list object of any level. */
export type ListObject = LeafList | UpperList;

/** A node's parent, as the find-by-id index holds it. */
export interface Placement {
  readonly id: string;
  readonly parent: string;
}

/** Up to 16 placements, sorted by sha-256 of the id. */
export interface IndexLeaf {
  readonly type: 'index';
  readonly entries: readonly Placement[];
}

/** Sixteen subtrees by the next nibble of sha-256 of the id, with the number of placements below. */
export interface IndexBranch {
  readonly type: 'index';
  readonly count: number;
  readonly children: readonly (string | null)[];
}

/** An object of the find-by-id index. */
export type IndexObject = IndexLeaf | IndexBranch;

/** Whatever a tree is made of. */
export type TreeObject = NodeHead | ListObject | IndexObject;

/** An object as it is stored: its canonical JSON and the hash of that. */
export interface Stored {
  readonly type: TreeObject['type'];
  readonly hash: string;
  readonly data: string;
}

/** Version of the hashed form of every kind of object; part of each hash. */
export const FORMAT = 1;

/** Reads objects by hash; what is missing is left out of the answer. One call is one round trip at most. */
export interface ObjectReader {
  getMany(hashes: readonly string[]): Promise<ReadonlyMap<string, TreeObject>>;
  /** Gives other work its turn when this one has gone on for long; to be called between the parts of what may be large. */
  turn?(): Promise<void>;
}

/** sha-256 of the 16 bytes of an id, in hex: what chunk boundaries and the index go by. */
export function idDigest(id: string): string {
  return createHash('sha256').update(idToBytes(id)).digest('hex');
}

/** Hash of stored bytes: sha-256 over the kind's prefix and the canonical JSON. */
export function hashOfData(type: string, data: string): string {
  return toHash(createHash('sha256').update(`cm:${type}:${FORMAT}\n`).update(data, 'utf8').digest());
}

/** The stored form of an object: equal objects have equal bytes and one hash, whatever their history. */
export function encodeObject(object: TreeObject): Stored {
  const data =
    object.type === 'node' ? encodeHead(object) : object.type === 'list' ? encodeList(object) : encodeIndex(object);
  return { type: object.type, hash: hashOfData(object.type, data), data };
}

// Lists and index objects are hot and hold nothing but hashes and ids, so their canonical JSON is written directly.
function encodeList(list: ListObject): string {
  if (isLeafList(list)) return `{"e":[${list.entries.map((e) => `["${shortId(e.id)}","${e.hash}"]`).join(',')}]}`;
  return `{"l":${list.level},"x":[${list.refs.map((r) => `["${shortId(r.first)}","${r.hash}",${r.count}]`).join(',')}]}`;
}

function encodeIndex(index: IndexObject): string {
  if (isIndexLeaf(index))
    return `{"e":[${index.entries.map((e) => `["${shortId(e.id)}","${shortId(e.parent)}"]`).join(',')}]}`;
  return `{"c":[${index.children.map((c) => (c === null ? 'null' : `"${c}"`)).join(',')}],"n":${index.count}}`;
}

function encodeHead(head: NodeHead): string {
  const { kind, fields, body, source, children } = head;
  return canonicalJson({ body, children, fields, id: shortId(head.id), kind, source });
}

/** Whether a list object holds children, not chunks. */
export function isLeafList(list: ListObject): list is LeafList {
  return 'entries' in list;
}

/** Whether an index object holds placements, not subtrees. */
export function isIndexLeaf(index: IndexObject): index is IndexLeaf {
  return 'entries' in index;
}

interface RawObject {
  e?: [string, string][];
  x?: [string, string, number][];
  l?: number;
  c?: (string | null)[];
  n?: number;
  body?: string | null;
  children?: string | null;
  fields?: Record<string, FieldValue>;
  id?: string;
  kind?: NodeKind;
  source?: Source | null;
}

/** The object that stored bytes mean. The bytes must be what `encodeObject` wrote (their hash has been checked). */
export function decodeObject(type: TreeObject['type'], data: string): TreeObject {
  const raw = JSON.parse(data) as RawObject;
  if (type === 'list') {
    if (raw.e) return { type, level: 0, entries: raw.e.map(([id, hash]) => ({ id: longId(id), hash })) };
    if (raw.x && raw.l) {
      return { type, level: raw.l, refs: raw.x.map(([first, hash, count]) => ({ first: longId(first), hash, count })) };
    }
  } else if (type === 'index') {
    if (raw.e) return { type, entries: raw.e.map(([id, parent]) => ({ id: longId(id), parent: longId(parent) })) };
    if (raw.c && raw.n !== undefined) return { type, count: raw.n, children: raw.c };
  } else if (raw.id && raw.kind && raw.fields) {
    const { kind, fields, body = null, source = null, children = null } = raw;
    return { type, kind, id: longId(raw.id), fields, body, source, children };
  }
  throw new AppError('internal', 'OBJECT_CORRUPT', { type });
}
