import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { bodyOf, type Body } from '@coursewright/course-model/body';
import { canonicalJson } from '@coursewright/course-model/canonical';
import { emptyLesson } from '@coursewright/course-model/lesson';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { newId, toHash } from '@coursewright/platform/ids';
import { createLogger } from '@coursewright/platform/logger';
import { testServers } from '@coursewright/platform/testing/servers';
import fc from 'fast-check';
import { MongoClient } from 'mongodb';
import { openBodyStore, type BodyStore } from '../src/store/mongo-bodies.js';

const logger = createLogger('test', 'silent');

interface Row {
  _id: string;
  doc: unknown;
  touchedAt: Date;
  refs: string[];
  size: number;
}

function bodyWith(content: unknown): Body {
  const result = normalizeLesson({ exercises: [{ type: 'x', content }] }, null, newId);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.body;
}

describe('bodies in MongoDB', () => {
  const courseId = newId();
  let url = '';
  let client: MongoClient;
  let store: BodyStore;
  let clock = new Date('2026-01-01T00:00:00Z');
  const rows = () => client.db().collection<Row>('bodies');
  /** A store that has read nothing yet, so that reads reach the server. */
  const cold = <T>(work: (store: BodyStore) => Promise<T>): Promise<T> => {
    const other = openBodyStore(url, logger);
    return work(other).finally(() => other.close());
  };

  beforeAll(async () => {
    const base = new URL(testServers().mongodb);
    base.pathname = `/t_content_${randomBytes(5).toString('hex')}`;
    url = base.href;
    client = new MongoClient(url, { retryWrites: false });
    store = openBodyStore(url, logger, () => clock);
  });
  afterAll(async () => {
    await client.db().dropDatabase();
    await Promise.all([client.close(), store.close()]);
  });

  it('reads back what was written, whatever JSON the document holds', async () => {
    const key = fc.oneof(
      fc.string(),
      fc.constantFrom('', 'a.b', '.', '0', '-1', 'x$', 'constructor', 'toString', 'é', 'length'),
    );
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string({ unit: 'grapheme' }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.maxSafeInteger(),
        fc.constantFrom(0, -0, 2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1, 1e300, 5e-324, null, true, false),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(key, tie('value'), { maxKeys: 5 }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 20 }), async (contents) => {
        const bodies = contents.flatMap((content) => {
          const result = normalizeLesson({ exercises: [{ type: 'x', content }] }, null, newId);
          return result.ok ? [result.body] : [];
        });
        await store.putMany(courseId, bodies);
        const read = await cold((other) =>
          other.getMany(
            courseId,
            bodies.map((body) => toHash(body.hash)),
          ),
        );
        for (const body of bodies) expect(canonicalJson(read.get(toHash(body.hash)))).toBe(body.canonical);
      }),
      { numRuns: 40 },
    );
  });

  it('reads back fields that are called like what every object has', async () => {
    const names = ['constructor', 'toString', 'valueOf', 'hasOwnProperty', 'isPrototypeOf', 'toLocaleString'];
    const content = Object.fromEntries(names.map((name) => [name, [{}, [{ [name]: [1] }], 'x']]));
    const result = normalizeLesson({ exercises: [{ type: 'x', content }] }, null, newId);
    if (!result.ok) throw new Error('not a lesson');
    await store.putMany(courseId, [result.body]);
    const hash = toHash(result.body.hash);
    const read = await cold((other) => other.getMany(courseId, [hash]));
    expect(canonicalJson(read.get(hash))).toBe(result.body.canonical);
  });

  it('are not up while the server answers reads and refuses writes', async () => {
    expect(await cold((other) => other.isUp())).toBe(true);
    const health = client.db().collection('health');
    await health.deleteMany({});
    // From now on a second document without this field is refused.
    await health.createIndex({ only: 1 }, { unique: true });
    await health.insertOne({ only: null });
    const up = cold(async (other) => {
      await other.getMany(courseId, [toHash(bodyWith('x').hash)]);
      return other.isUp();
    });
    await expect(up).rejects.toThrow(/duplicate key/i);
    await health.drop();
    expect(await cold((other) => other.isUp())).toBe(true);
  });

  it('keeps one row for one body, and only moves the time of its last use on', async () => {
    const body = bodyWith('once /static/a.png');
    const id = `${courseId}:${toHash(body.hash)}`;
    await Promise.all(Array.from({ length: 20 }, () => store.putMany(courseId, [body])));
    clock = new Date('2026-03-01T00:00:00Z');
    await store.putMany(courseId, [body]);
    clock = new Date('2026-02-01T00:00:00Z');
    await store.putMany(courseId, [body]);
    const found = await rows().find({ _id: id }).toArray();
    expect(found).toMatchObject([
      { touchedAt: new Date('2026-03-01T00:00:00Z'), size: body.size, refs: ['static:a.png'] },
    ]);
  });

  it('stores the same body at once from two processes without an error', async () => {
    await cold(async (other) => {
      for (let round = 0; round < 10; round++) {
        const bodies = Array.from({ length: 10 }, (_, i) => bodyWith(`race ${round} ${i}`));
        await Promise.all([store.putMany(courseId, bodies), other.putMany(courseId, bodies)]);
        expect(
          (
            await other.getMany(
              courseId,
              bodies.map((body) => toHash(body.hash)),
            )
          ).size,
        ).toBe(10);
      }
    });
  });

  it('keeps the courses apart', async () => {
    const body = bodyWith('mine');
    await store.putMany(courseId, [body]);
    await expect(cold((other) => other.get(newId(), toHash(body.hash)))).rejects.toMatchObject({
      kind: 'internal',
      reason: 'STORED_BODY_MISSING',
    });
  });

  it('finds a body out that does not have its hash', async () => {
    const body = bodyWith('true');
    await store.putMany(courseId, [body]);
    const hash = toHash(body.hash);
    await rows().updateOne({ _id: `${courseId}:${hash}` }, { $set: { 'doc.exercises.0.content': 'false' } });
    await cold(async (other) => {
      await expect(other.get(courseId, hash)).rejects.toMatchObject({
        kind: 'internal',
        reason: 'STORED_BODY_CORRUPT',
      });
      expect(await other.getMany(courseId, [hash])).toEqual(new Map());
    });
  });

  it('says unavailable and when to come back while the server is away', async () => {
    const port = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
      });
    });
    const away = openBodyStore(`mongodb://127.0.0.1:${port}/x`, logger);
    const expected = { kind: 'unavailable', reason: 'BODY_STORE_UNAVAILABLE', details: { retryAfterSeconds: 2 } };
    await expect(away.putMany(courseId, [bodyOf(emptyLesson())])).rejects.toMatchObject(expected);
    await expect(away.getMany(courseId, ['x'])).rejects.toMatchObject(expected);
    await away.close();
  });
});
