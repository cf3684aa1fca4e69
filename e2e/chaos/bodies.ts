import { createHash } from 'node:crypto';
import { MongoClient } from 'mongodb';
import type { Violation, Write } from './history.js';

/** A body as MongoDB has it. */
export interface StoredBody {
  readonly hash: string;
  /** The save whose text it has; empty for the empty document. */
  readonly saved: string;
  /** Whether its bytes have the hash by which it is kept. */
  readonly isSound: boolean;
}

interface BodyRow {
  readonly _id: string;
  readonly doc?: { readonly materials?: readonly { readonly content?: string }[] };
}

/** Canonical JSON by a second hand: names in the order of their UTF-16 units, no white space. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical((value as Record<string, unknown>)[name])}`).join(',')}}`;
}

/** All bodies of a course, read from MongoDB itself. */
export async function readBodies(mongodb: string, course: string): Promise<StoredBody[]> {
  // What is slow here is the machine: a check that gives up sooner would take that for a loss.
  const client = await MongoClient.connect(mongodb, { serverSelectionTimeoutMS: 30_000 });
  try {
    const rows = client
      .db()
      .collection<BodyRow>('bodies')
      .find({ _id: { $gte: `${course}:`, $lt: `${course};` } });
    return (await rows.toArray()).map(({ _id, doc }) => {
      const hash = _id.slice(course.length + 1);
      const found = createHash('sha256')
        .update(`cm:lesson:1\n${canonical(doc)}`)
        .digest('base64url');
      return { hash, saved: doc?.materials?.[0]?.content ?? '', isSound: found === hash };
    });
  } finally {
    await client.close();
  }
}

/** Every acknowledged save has its body, by the hash that its answer named, once; no body is damaged. */
export function checkBodies(course: string, bodies: readonly StoredBody[], writes: readonly Write[]): Violation[] {
  const byHash = new Map(bodies.map((body) => [body.hash, body]));
  const counts = new Map<string, number>();
  for (const { saved } of bodies) counts.set(saved, (counts.get(saved) ?? 0) + 1);
  const missing = writes
    .filter(({ kind, outcome }) => kind === 'save' && outcome === 'acknowledged')
    .flatMap((write): Violation[] => {
      const body = byHash.get(write.etag!);
      if (body === undefined)
        return [{ kind: 'lost', what: `the body ${write.etag} of ${write.id} in ${course} is not in MongoDB` }];
      const what = `the body ${write.etag} of ${write.id} in ${course} has the text of ${body.saved}`;
      if (body.saved !== write.id) return [{ kind: 'wrong', what }];
      const count = counts.get(write.id)!;
      return count === 1 ? [] : [{ kind: 'doubled', what: `${write.id} has ${count} bodies in ${course}` }];
    });
  const damaged = bodies.filter(({ isSound }) => !isSound);
  return [
    ...missing,
    ...damaged.map(({ hash }): Violation => ({
      kind: 'wrong',
      what: `body ${hash} of ${course} does not have its hash`,
    })),
  ];
}
