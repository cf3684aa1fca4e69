import type { Fields, FieldValue, TreeObject } from './objects.js';

/** An answer holds at most this much, of the 8 MiB that a message may have; one thing is always in it. */
export const ANSWER_BYTES = 3 * 1024 * 1024;

/** A value costs an encoder time, however short it is; counted as bytes, a page of very many has an end as well. */
const VALUE = 64;

/** What a value weighs in an answer: its bytes on the wire, and the work of writing it. */
function weightOfValue(value: FieldValue): number {
  if (typeof value === 'string') return VALUE + Buffer.byteLength(value);
  if (Array.isArray(value))
    return (value as readonly FieldValue[]).reduce<number>((sum, item) => sum + weightOfValue(item), VALUE);
  return VALUE;
}

// Fields of a node that was read never change, and an outline is asked for again and again.
const weights = new WeakMap<Fields, number>();

/** What the fields of a node weigh in an answer. */
export function weightOf(fields: Fields): number {
  let sum = weights.get(fields);
  if (sum !== undefined) return sum;
  sum = 0;
  for (const name of Object.keys(fields)) sum += 2 * name.length + weightOfValue(fields[name] as FieldValue);
  weights.set(fields, sum);
  return sum;
}

// Bytes of V8's heap on a 64-bit machine, measured: an object with its properties, a string's head, an entry of an array.
const OBJECT = 56;
const STRING = 24;
const SLOT = 8;
/** Ids and hashes as strings, with the object that holds them. */
const ENTRY = OBJECT + 2 * (STRING + 48);

/** Bytes that a string takes in memory: one a character, or two when it has any beyond Latin-1. */
export function memoryOfText(text: string): number {
  return STRING + (/^[\x00-\xff]*$/.test(text) ? 1 : 2) * text.length;
}

function memoryOfValue(value: FieldValue): number {
  if (typeof value === 'string') return SLOT + memoryOfText(value);
  if (typeof value === 'number') return SLOT + 16;
  if (Array.isArray(value))
    return (value as readonly FieldValue[]).reduce<number>((sum, item) => sum + memoryOfValue(item), OBJECT);
  return SLOT;
}

/** About how many bytes an object of a tree takes in memory, once it has been read. */
export function memoryOf(object: TreeObject): number {
  if (object.type === 'node') {
    const { fields, source } = object;
    let sum = 3 * ENTRY + (source ? OBJECT + memoryOfText(source.format) + memoryOfText(source.key) : 0);
    for (const name of Object.keys(fields))
      sum += 3 * SLOT + memoryOfText(name) + memoryOfValue(fields[name] as FieldValue);
    return sum;
  }
  if ('entries' in object) return OBJECT + ENTRY * object.entries.length;
  if (object.type === 'list') return OBJECT + ENTRY * object.refs.length;
  return OBJECT + object.children.reduce<number>((sum, child) => sum + (child === null ? SLOT : SLOT + STRING + 48), 0);
}

/** As many of these as one answer may hold, from the first on; never none of some. */
export function fitting<T>(items: readonly T[], weight: (item: T) => number, room = ANSWER_BYTES): readonly T[] {
  let left = room;
  const end = items.findIndex((item, i) => {
    left -= weight(item);
    return left < 0 && i > 0;
  });
  return end < 0 ? items : items.slice(0, end);
}

/** How many heads to read at once when so many bytes may be read: few until it is known how large they are. */
export class Pace {
  #bytes = 0;
  #count = 0;

  /** Takes in what was read; answers how much it was. */
  took(bytes: number): number {
    this.#bytes += bytes;
    this.#count++;
    return bytes;
  }

  next(room: number): number {
    if (this.#count === 0) return 8;
    return Math.min(Math.max(Math.ceil(room / (this.#bytes / this.#count)), 8), 512);
  }
}
