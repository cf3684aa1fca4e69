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

/** The kinds of objects that trees are made of. */
export type ObjectType = TreeObject['type'];

/** The bytes of an object, and how they are to be read. */
export interface StoredBytes {
  readonly type: ObjectType;
  /** Version of the form of this kind in which the bytes are written; part of the hash. */
  readonly format: number;
  readonly data: string;
}

/** An object as it is stored: its canonical JSON and the hash of that. */
export interface Stored extends StoredBytes {
  readonly hash: string;
}

/**
 * The version in which each kind of object is written today; each kind has its own. A new form gets a new number here, an encoder, and a
 * decoder beside the old ones, which stay: bytes are never rewritten, and a row is read in the version that it names.
 */
export const FORMATS: Readonly<Record<ObjectType, number>> = { node: 1, list: 1, index: 1 };

/** Reads objects by hash; what is missing is left out of the answer. One call is one round trip at most. */
export interface ObjectReader {
  getMany(hashes: readonly string[]): Promise<ReadonlyMap<string, TreeObject>>;
  /** Gives other work its turn when this one has gone on for long; to be called between the parts of what may be large. */
  turn?(): Promise<void> | undefined;
}

/** sha-256 of the 16 bytes of an id, in hex: what chunk boundaries and the index go by. */
export function idDigest(id: string): string {
  return createHash('sha256').update(idToBytes(id)).digest('hex');
}

/** Hash of stored bytes: sha-256 over the prefix of their kind and version, and the canonical JSON. */
export function hashOfData({ type, format, data }: StoredBytes): string {
  return toHash(createHash('sha256').update(`cm:${type}:${format}\n`).update(data, 'utf8').digest());
}

/** The stored form of an object: equal objects have equal bytes and one hash, whatever their history. */
export function encodeObject(object: TreeObject): Stored {
  const { type } = object;
  const data = type === 'node' ? encodeHead(object) : type === 'list' ? encodeList(object) : encodeIndex(object);
  const bytes = { type, format: FORMATS[type], data };
  return { ...bytes, hash: hashOfData(bytes) };
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

type Decoder = (raw: RawObject) => TreeObject | null;

/** For each kind a decoder of every version that was ever written, from 1. */
const DECODERS: Readonly<Record<ObjectType, readonly Decoder[]>> = {
  node: [decodeHead],
  list: [decodeList],
  index: [decodeIndex],
};

function decodeList(raw: RawObject): ListObject | null {
  if (raw.e) return { type: 'list', level: 0, entries: raw.e.map(([id, hash]) => ({ id: longId(id), hash })) };
  if (!raw.x || !raw.l) return null;
  return {
    type: 'list',
    level: raw.l,
    refs: raw.x.map(([first, hash, count]) => ({ first: longId(first), hash, count })),
  };
}

function decodeIndex(raw: RawObject): IndexObject | null {
  if (raw.e)
    return { type: 'index', entries: raw.e.map(([id, parent]) => ({ id: longId(id), parent: longId(parent) })) };
  return raw.c && raw.n !== undefined ? { type: 'index', count: raw.n, children: raw.c } : null;
}

function decodeHead(raw: RawObject): NodeHead | null {
  if (!raw.id || !raw.kind || !raw.fields) return null;
  const { kind, fields, body = null, source = null, children = null } = raw;
  return { type: 'node', kind, id: longId(raw.id), fields, body, source, children };
}

/**
 * The object that stored bytes mean, read in the version that they name. Their hash must have been checked. Throws internal
 * `FORMAT_UNKNOWN` for a version that nobody here has written, `OBJECT_CORRUPT` for bytes that are no such object.
 */
export function decodeObject({ type, format, data }: StoredBytes): TreeObject {
  const decode = DECODERS[type][format - 1];
  if (!decode) throw unknownFormat(type, format);
  const object = decode(JSON.parse(data) as RawObject);
  if (!object) throw new AppError('internal', 'OBJECT_CORRUPT', { type });
  return object;
}

/** Says that stored bytes are of a version this code does not know: internal `FORMAT_UNKNOWN`. They are whole, and not to be guessed at. */
export function unknownFormat(type: string, format: number): AppError {
  const message = `a ${type} is written in version ${format} of its form, which this release cannot read`;
  return new AppError('internal', 'FORMAT_UNKNOWN', { type, format }, { message });
}
