import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fromHash, newId } from '@coursewright/platform/ids';
import { createCourse } from '../src/operations/create-course.js';
import { getOutline } from '../src/operations/nodes.js';
import { resolveRef } from '../src/operations/refs.js';
import { hashCommit } from '../src/domain/commit.js';
import { decodeObject, encodeObject, hashOfData, type TreeObject } from '../src/domain/objects.js';
import { startService, type TestService } from './support/service.js';

let service: TestService;
const id = '01900000-0001-7000-8000-000000000001';
const other = '01900000-0002-7000-8000-000000000002';
const hash = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

/** Each form of version 1 as its bytes were written on the first day. They are read, and written the same, for ever. */
const FIRST: [TreeObject, string][] = [
  [
    { type: 'node', kind: 'lesson', id, fields: { title: 'a', n: 1 }, body: null, source: null, children: null },
    '{"body":null,"children":null,"fields":{"n":1,"title":"a"},"id":"AZAAAAABcACAAAAAAAAAAQ","kind":"lesson","source":null}',
  ],
  [{ type: 'list', level: 0, entries: [{ id, hash }] }, `{"e":[["AZAAAAABcACAAAAAAAAAAQ","${hash}"]]}`],
  [
    { type: 'list', level: 1, refs: [{ first: id, hash, count: 20 }] },
    `{"l":1,"x":[["AZAAAAABcACAAAAAAAAAAQ","${hash}",20]]}`,
  ],
  [{ type: 'index', entries: [{ id, parent: other }] }, '{"e":[["AZAAAAABcACAAAAAAAAAAQ","AZAAAAACcACAAAAAAAAAAg"]]}'],
  [{ type: 'index', count: 17, children: [hash, null] }, `{"c":["${hash}",null],"n":17}`],
];

beforeAll(async () => {
  service = await startService();
});

afterAll(() => service.stop());

async function sql(text: string, values: unknown[]): Promise<Record<string, unknown>[]> {
  return (await service.database.pool.query<Record<string, unknown>>(text, values)).rows;
}

async function makeCourse(): Promise<string> {
  const courseId = newId();
  const author = { id: 'ada', name: 'Ada' };
  await createCourse(service.deps, { courseId, fields: { title: 'x' }, source: null, author, command: null });
  return courseId;
}

/** What a process that has nothing in memory gets. */
async function read(courseId: string): Promise<string> {
  const { store } = service.sibling();
  const at = await resolveRef(store, courseId, '');
  return String((await getOutline(store, at, { root: '', depth: 1 })).head.fields.title);
}

describe('the form in which an object is stored', () => {
  it.each(FIRST)('is byte for byte what version 1 always was: %j', (object, data) => {
    const type = object.type;
    const stored = encodeObject(object);
    expect(stored.data).toBe(data);
    expect(stored.hash).toBe(createHash('sha256').update(`cm:${type}:1\n${data}`).digest('base64url'));
    expect(decodeObject({ type, format: 1, data })).toEqual(object);
    // The version is part of what is hashed: the same bytes of another version are another object.
    expect(hashOfData({ type, format: 2, data })).not.toBe(stored.hash);
  });

  it('is named by every row', async () => {
    const courseId = await makeCourse();
    const objects = await sql('SELECT DISTINCT kind, format FROM object WHERE course_id = $1 ORDER BY kind', [
      courseId,
    ]);
    expect(objects).toEqual([
      { kind: 1, format: 1 },
      { kind: 3, format: 1 },
    ]);
    expect(await sql('SELECT format FROM "commit" WHERE course_id = $1', [courseId])).toEqual([{ format: 1 }]);
  });

  it('of a version that is not known here is refused by that name, never misread', async () => {
    const courseId = await makeCourse();
    expect(await read(courseId)).toBe('x');
    const [{ data } = {}] = await sql('SELECT data FROM object WHERE course_id = $1 AND kind = 1', [courseId]);
    // What a later release might write: the root in version 2, sound by its hash, and a commit that names it.
    const root = { type: 'node', format: 2, data: String(data).replace('"x"', '"y"') } as const;
    const rootHash = fromHash(hashOfData(root));
    await sql(
      'INSERT INTO object (course_id, hash, kind, format, data, size, touched_at) VALUES ($1, $2, 1, 2, $3, 1, now())',
      [courseId, rootHash, Buffer.from(root.data)],
    );
    await sql('UPDATE "commit" SET root = $2 WHERE course_id = $1', [courseId, rootHash]);
    await expect(read(courseId)).rejects.toMatchObject({
      kind: 'internal',
      reason: 'FORMAT_UNKNOWN',
      details: { type: 'node', format: 2 },
      message: 'a node is written in version 2 of its form, which this release cannot read',
    });
    await sql('UPDATE "commit" SET format = 7 WHERE course_id = $1', [courseId]);
    await expect(read(courseId)).rejects.toMatchObject({
      reason: 'FORMAT_UNKNOWN',
      details: { type: 'commit', format: 7 },
    });
  });

  it('of a commit is hashed with the version of its row', async () => {
    const { store } = service.sibling();
    const { commit } = await resolveRef(store, await makeCourse(), '');
    expect(hashCommit(commit, commit.format)).toBe(commit.hash);
    expect(hashCommit(commit, 2)).not.toBe(commit.hash);
  });

  it('that a row claims wrongly is found by its hash', async () => {
    const courseId = await makeCourse();
    await sql('UPDATE object SET format = 2 WHERE course_id = $1 AND kind = 1', [courseId]);
    await expect(read(courseId)).rejects.toMatchObject({ reason: 'OBJECT_CORRUPT' });
  });
});
