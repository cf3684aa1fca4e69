import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { fromHash, newId, toHash } from '@coursewright/platform/ids';
import { checkIntegrity } from '../src/operations/check-integrity.js';
import { CommitQueue } from '../src/operations/commit-queue.js';
import { createCourse } from '../src/operations/create-course.js';
import { getOutline } from '../src/operations/nodes.js';
import { resolveRef } from '../src/operations/refs.js';
import { encodeObject, hashOfData } from '../src/domain/objects.js';
import { startService, type TestService } from './support/service.js';

let service: TestService;
let courseId: string;
let moduleId: string;
const author = { id: 'ada', name: 'Ada' };

async function sql<T extends object>(text: string, values: unknown[] = []): Promise<T[]> {
  return (await service.owner.pool.query<T>(text, values)).rows;
}

/** What a process that has nothing in memory finds. */
async function problems(): Promise<string[]> {
  return [...new Set((await checkIntegrity(service.sibling().store, courseId)).problems.map(({ what }) => what))];
}

beforeAll(async () => {
  service = await startService();
});

afterAll(() => service.stop());

beforeEach(async () => {
  courseId = newId();
  moduleId = newId();
  await createCourse(service.deps, { courseId, fields: { title: 'Checked' }, source: null, author, command: null });
  const base = { op: 'add', position: null, body: null, source: null, fields: { title: 'x' } } as const;
  const lessons = Array.from(
    { length: 60 },
    () => ({ ...base, id: newId(), parent: moduleId, kind: 'lesson' }) as const,
  );
  const ops = [{ ...base, id: moduleId, parent: courseId, kind: 'module' } as const, ...lessons];
  const plain = { branch: '', base: '', expectedHead: '', expect: [], start: '', message: '', kind: 'edit' } as const;
  await new CommitQueue(service.deps).commit({
    courseId,
    author,
    mayPassProtection: false,
    command: null,
    ...plain,
    ops,
  });
  expect(await problems()).toEqual([]);
});

describe('the integrity check', () => {
  it('names an object with a flipped byte, and reads refuse it', async () => {
    const [row] = await sql<{ hash: Buffer }>(
      `UPDATE object SET data = set_byte(data, 10, get_byte(data, 10) # 1) WHERE course_id = $1 AND hash =
       (SELECT hash FROM object WHERE course_id = $1 AND kind = 1 ORDER BY hash LIMIT 1) RETURNING hash`,
      [courseId],
    );
    const report = await checkIntegrity(service.sibling().store, courseId);
    expect(report.problems).toMatchObject([{ what: 'wrong_hash', object: toHash(row?.hash ?? Buffer.alloc(0)) }]);
    const { store } = service.sibling();
    await sql(`UPDATE object SET data = 'x' WHERE course_id = $1 AND kind = 1`, [courseId]);
    const at = await resolveRef(store, courseId, '');
    await expect(getOutline(store, at, { root: '', depth: 3 })).rejects.toMatchObject({
      kind: 'internal',
      reason: 'OBJECT_CORRUPT',
    });
  });

  it('names an object that is missing', async () => {
    await sql(
      'DELETE FROM object WHERE course_id = $1 AND hash = (SELECT hash FROM object WHERE course_id = $1 AND kind = 2 LIMIT 1)',
      [courseId],
    );
    expect(await problems()).toContain('missing_object');
  });

  it('finds a list that is not chunked by the rule, though every hash is right', async () => {
    const { store } = service.deps;
    const at = await resolveRef(store, courseId, '');
    const heads = await sql<{ hash: Buffer; data: Buffer }>(
      'SELECT hash, data FROM object WHERE course_id = $1 AND kind = 1',
      [courseId],
    );
    const entries = heads.flatMap(({ hash, data }) => {
      const head = JSON.parse(data.toString()) as { kind: string; id: string };
      return head.kind === 'lesson' ? [[head.id, toHash(hash)]] : [];
    });
    // One list object of sixty entries, where the rule wants chunks; the heads above it are made anew.
    const put = async (kind: number, type: 'node' | 'list', data: string): Promise<string> => {
      const hash = hashOfData({ type, format: 1, data });
      await sql('INSERT INTO object VALUES ($1, $2, $3, $4, $5, now())', [
        courseId,
        fromHash(hash),
        kind,
        Buffer.from(data),
        data.length,
      ]);
      return hash;
    };
    const list = await put(2, 'list', JSON.stringify({ e: entries }));
    const module = encodeObject({
      type: 'node',
      kind: 'module',
      id: moduleId,
      fields: { title: 'x' },
      body: null,
      source: null,
      children: list,
    });
    await put(1, 'node', module.data);
    const short = (id: string): string => Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url');
    const top = await put(2, 'list', JSON.stringify({ e: [[short(moduleId), module.hash]] }));
    const root = encodeObject({
      type: 'node',
      kind: 'course',
      id: courseId,
      fields: { title: 'Checked' },
      body: null,
      source: null,
      children: top,
    });
    await put(1, 'node', root.data);
    await sql('UPDATE "commit" SET root = $2 WHERE course_id = $1 AND hash = $3', [
      courseId,
      fromHash(root.hash),
      fromHash(at.commit.hash),
    ]);
    const found = await problems();
    expect(found).toContain('bad_list');
    // The commit's hash covers its root.
    expect(found).toContain('bad_commit');
  });

  it('finds an index that is not that of the tree, and a commit of the wrong generation', async () => {
    const rows = await sql<{ index_root: Buffer }>(
      'SELECT index_root FROM "commit" WHERE course_id = $1 ORDER BY gen',
      [courseId],
    );
    await sql('UPDATE "commit" SET index_root = $2, gen = 7 WHERE course_id = $1 AND gen = 2', [
      courseId,
      rows[0]?.index_root,
    ]);
    expect((await problems()).sort()).toEqual(['bad_commit', 'bad_index']);
  });

  it('finds a ref log that was tampered with, which the database refuses to begin with', async () => {
    await expect(sql(`UPDATE ref_log SET actor = 'eve' WHERE course_id = $1`, [courseId])).rejects.toThrow(
      'append-only',
    );
    await sql('ALTER TABLE ref_log DISABLE TRIGGER ref_log_append_only');
    await sql(`UPDATE ref_log SET actor = 'eve' WHERE course_id = $1 AND seq = 1`, [courseId]);
    expect(await problems()).toEqual(['bad_ref_log']);
    await sql('DELETE FROM ref_log WHERE course_id = $1 AND seq = 1', [courseId]);
    expect(await problems()).toEqual(['bad_ref_log']);
    await sql('ALTER TABLE ref_log ENABLE TRIGGER ref_log_append_only');
  });
});
