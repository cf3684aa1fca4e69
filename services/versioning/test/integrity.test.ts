import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { fromHash, newId, toHash } from '@coursewright/platform/ids';
import { createBranch } from '../src/operations/branches.js';
import { CommitQueue } from '../src/operations/commit-queue.js';
import { createCourse } from '../src/operations/create-course.js';
import { getNode, getOutline } from '../src/operations/nodes.js';
import type { Commit } from '../src/operations/ports.js';
import { resolveRef } from '../src/operations/refs.js';
import type { IntegrityProblem } from '../src/domain/integrity.js';
import { encodeObject, hashOfData } from '../src/domain/objects.js';
import type { Op } from '../src/domain/ops.js';
import { hashLogRow, hashMove } from '../src/domain/ref-log.js';
import { bodyHash } from './support/model.js';
import { integrityOf, startService, type TestService } from './support/service.js';

let service: TestService;
let courseId: string;
let moduleId: string;
let lessons: string[];
/** The commits of the default branch, oldest first. */
let commits: Commit[];
let branchId: string;
let draftId: string;
const author = { id: 'ada', name: 'Ada' };

async function sql<T extends object>(text: string, values: unknown[] = []): Promise<T[]> {
  return (await service.owner.pool.query<T>(text, values)).rows;
}

/** What the very process finds that wrote and read all of it, and has it in memory. */
async function found(): Promise<readonly IntegrityProblem[]> {
  return (await integrityOf(service.deps, courseId)).problems;
}

async function kinds(): Promise<string[]> {
  return [...new Set((await found()).map(({ what }) => what))].sort();
}

function commit(ops: readonly Op[], branch = ''): Promise<unknown> {
  const plain = { base: '', expectedHead: '', expect: [], start: '', message: 'A change', kind: 'edit' } as const;
  const input = { courseId, branch, author, mayPassProtection: false, command: null, ...plain, ops };
  return new CommitQueue(service.deps).commit(input);
}

beforeAll(async () => {
  service = await startService();
});

afterAll(() => service.stop());

beforeEach(async () => {
  [courseId, moduleId] = [newId(), newId()];
  lessons = Array.from({ length: 60 }, () => newId());
  service.content.wrong.clear();
  service.content.asked.length = 0;
  const { store } = service.deps;
  await createCourse(service.deps, { courseId, fields: { title: 'Checked' }, source: null, author, command: null });
  const base = { op: 'add', position: null, source: null, fields: { title: 'x' } } as const;
  await commit([
    { ...base, id: moduleId, parent: courseId, kind: 'module', body: null },
    ...lessons.map((id, n) => ({ ...base, id, parent: moduleId, kind: 'lesson', body: bodyHash(n + 1) }) as const),
  ]);
  await commit([{ op: 'setFields', node: lessons[0] ?? '', fields: { title: 'y' } }]);
  const branch = { from: '', isProtected: false, metadata: {}, createdBy: 'ada', command: null };
  draftId = (await createBranch(service.deps, { courseId, name: 'draft', ...branch })).id;
  await commit([{ op: 'setFields', node: lessons[1] ?? '', fields: { title: 'draft' } }], 'draft');
  await commit([{ op: 'setBody', node: lessons[2] ?? '', body: bodyHash(99) }]);
  const at = await resolveRef(store, courseId, '');
  branchId = at.branchId;
  await getOutline(store, at, { root: '', depth: 3 });
  await getNode(store, at, lessons[0] ?? '');
  const rows = await sql<{ hash: Buffer }>('SELECT hash FROM "commit" WHERE course_id = $1 ORDER BY gen', [courseId]);
  const all = await store.commits(
    courseId,
    rows.map(({ hash }) => toHash(hash)),
  );
  commits = [];
  for (let hash: string | undefined = at.commit.hash; hash !== undefined; hash = commits[0]?.parents[0])
    commits.unshift(all.get(hash) as Commit);
  expect(commits).toHaveLength(4);
  expect(await found()).toEqual([]);
});

/** Writes a row of the log for a movement, as a publication or a tag will. */
async function log(ref: string, to: string): Promise<void> {
  const [{ log_seq: seq, log_hash: prev } = { log_seq: 0, log_hash: Buffer.alloc(0) }] = await sql<{
    log_seq: number;
    log_hash: Buffer;
  }>('SELECT log_seq, log_hash FROM course WHERE course_id = $1', [courseId]);
  const move = { ref, from: null, to, actor: 'ada', reason: 'publish', at: new Date() };
  const hash = fromHash(hashLogRow(toHash(prev), seq + 1, hashMove(move)));
  await sql(
    `INSERT INTO ref_log (course_id, seq, ref, new, actor, reason, at, prev_hash, hash) VALUES ($1, $2, $3, $4, 'ada', 'publish', $5, $6, $7)`,
    [courseId, seq + 1, ref, fromHash(to), move.at, prev, hash],
  );
  await sql('UPDATE course SET log_seq = $2, log_hash = $3 WHERE course_id = $1', [courseId, seq + 1, hash]);
}

/** The log refuses changes to begin with; whoever damages it has got past that. */
async function onLog(text: string): Promise<void> {
  await sql('ALTER TABLE ref_log DISABLE TRIGGER ref_log_append_only');
  await sql(text, [courseId]);
  await sql('ALTER TABLE ref_log ENABLE TRIGGER ref_log_append_only');
}

describe('a check by a process that has the course in memory', () => {
  it.each([
    ['root', `set_byte(root, 3, get_byte(root, 3) # 1)`],
    ['index_root', `set_byte(index_root, 3, get_byte(index_root, 3) # 1)`],
    ['parents', `'{}'`],
    ['author_id', `'eve'`],
    ['at', `at + interval '1 second'`],
    ['message', `'Another'`],
    ['kind', `'merge'`],
    ['change_set', `gen_random_uuid()`],
    ['format', `2`],
    ['gen', `gen + 5`],
    ['lessons', `lessons + 1`],
    ['units', `units - 1`],
    ['added', `added + 1`],
    ['removed', `removed + 1`],
  ])('names a commit in the middle of history whose %s has changed', async (column, value) => {
    const { hash } = commits[2] as Commit;
    await sql(`UPDATE "commit" SET ${column} = ${value} WHERE course_id = $1 AND hash = $2`, [
      courseId,
      fromHash(hash),
    ]);
    const problems = await found();
    expect(problems).toContainEqual(expect.objectContaining({ what: 'bad_commit', object: hash }));
    // Nobody who reads from memory would notice.
    expect((await resolveRef(service.deps.store, courseId, hash)).commit).toEqual(commits[2]);
  });

  it('names a head whose counts are not those of its tree, though their sum is right', async () => {
    const { hash } = commits[3] as Commit;
    await sql('UPDATE "commit" SET units = 1, modules = 0 WHERE course_id = $1 AND hash = $2', [
      courseId,
      fromHash(hash),
    ]);
    expect(await found()).toMatchObject([
      { what: 'bad_commit', object: hash, message: expect.stringContaining('counts') },
    ]);
  });

  it.each([0, 1, 3])('names commit %i that is gone', async (n) => {
    const { hash } = commits[n] as Commit;
    await sql('DELETE FROM "commit" WHERE course_id = $1 AND hash = $2', [courseId, fromHash(hash)]);
    expect(await found()).toContainEqual(expect.objectContaining({ what: 'bad_commit', object: hash }));
  });

  it('checks the whole of a history that a commit of a wrong generation stands in', async () => {
    const [first, second, third] = commits as [Commit, Commit, Commit];
    await sql('UPDATE "commit" SET gen = 50 WHERE course_id = $1 AND hash = $2', [courseId, fromHash(third.hash)]);
    await sql(`UPDATE "commit" SET message = 'x' WHERE course_id = $1 AND hash = $2`, [courseId, fromHash(first.hash)]);
    const objects = (await found()).filter(({ what }) => what === 'bad_commit').map(({ object }) => object);
    expect(objects).toEqual(expect.arrayContaining([first.hash, third.hash]));
    expect(objects).not.toContain(second.hash);
    expect((await integrityOf(service.deps, courseId)).commits).toBe(5);
  });

  it.each([
    ['node', 1],
    ['list', 2],
    ['index', 3],
  ])(
    'names a %s of any version that has a flipped byte, another kind, another format, or is gone',
    async (_kind, kind) => {
      const rows = await sql<{ hash: Buffer; data: Buffer }>(
        'SELECT hash, data FROM object WHERE course_id = $1 AND kind = $2 ORDER BY hash',
        [courseId, kind],
      );
      for (const { hash } of [rows[0], rows.at(-1)] as { hash: Buffer }[]) {
        const named = (what: string) => [expect.objectContaining({ what, object: toHash(hash) })];
        for (const change of [
          'data = set_byte(data, 10, get_byte(data, 10) # 1)',
          'kind = kind % 3 + 1',
          'format = 2',
        ]) {
          const [before] = await sql('SELECT kind, format, data FROM object WHERE course_id = $1 AND hash = $2', [
            courseId,
            hash,
          ]);
          await sql(`UPDATE object SET ${change} WHERE course_id = $1 AND hash = $2`, [courseId, hash]);
          expect(await found()).toEqual(named('wrong_hash'));
          await sql('UPDATE object SET kind = $3, format = $4, data = $5 WHERE course_id = $1 AND hash = $2', [
            courseId,
            hash,
            ...Object.values(before ?? {}),
          ]);
        }
        const gone = await sql('DELETE FROM object WHERE course_id = $1 AND hash = $2 RETURNING *', [courseId, hash]);
        expect(await found()).toEqual(named('missing_object'));
        const columns = Object.keys(gone[0] ?? {});
        await sql(
          `INSERT INTO object (${columns.join()}) VALUES (${columns.map((_, i) => `$${i + 1}`).join()})`,
          Object.values(gone[0] ?? {}),
        );
      }
      expect(await found()).toEqual([]);
    },
  );

  it('finds that the last row of the log is gone, and any other', async () => {
    await expect(sql(`UPDATE ref_log SET actor = 'eve' WHERE course_id = $1`, [courseId])).rejects.toThrow(
      'append-only',
    );
    await onLog('DELETE FROM ref_log WHERE course_id = $1 AND seq = 6');
    expect(await found()).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ what: 'bad_ref_log', object: '6' }),
        expect.objectContaining({ what: 'bad_ref', object: branchId }),
      ]),
    );
    await onLog('DELETE FROM ref_log WHERE course_id = $1 AND seq = 2');
    expect(await found()).toContainEqual(expect.objectContaining({ what: 'bad_ref_log', object: '2' }));
  });

  it.each([
    ['a row that says something else', `UPDATE ref_log SET actor = 'eve' WHERE course_id = $1 AND seq = 2`, '2'],
    ['a course that remembers fewer rows', 'UPDATE course SET log_seq = log_seq - 1 WHERE course_id = $1', '5'],
    ['a course that remembers more rows', 'UPDATE course SET log_seq = log_seq + 1 WHERE course_id = $1', '7'],
    ['a course that remembers another last row', `UPDATE course SET log_hash = sha256('x') WHERE course_id = $1`, '6'],
  ])('finds in the log %s', async (_what, damage, row) => {
    await onLog(damage);
    expect(await found()).toContainEqual(expect.objectContaining({ what: 'bad_ref_log', object: row }));
  });

  it.each([
    ['the default branch', () => branchId],
    ['another branch', () => draftId],
  ])('finds that the head of %s was moved, which the log does not know', async (_what, id) => {
    await sql('UPDATE branch SET head = $2 WHERE branch_id = $1', [id(), fromHash((commits[1] as Commit).hash)]);
    expect(await found()).toMatchObject([{ what: 'bad_ref', object: id() }]);
  });

  it('finds that a branch is gone, or one is there that was never made', async () => {
    await sql('DELETE FROM branch WHERE branch_id = $1', [draftId]);
    expect(await found()).toMatchObject([{ what: 'bad_ref', object: draftId }]);
    const stray = newId();
    await sql(
      `INSERT INTO branch (branch_id, course_id, name, head, hidden, protected, metadata, created_by, created_at)
       SELECT $2, course_id, 'stray', head, false, false, '{}', 'eve', now() FROM branch WHERE branch_id = $1`,
      [branchId, stray],
    );
    expect((await found()).map(({ what, object }) => [what, object])).toEqual([
      ['bad_ref', stray],
      ['bad_ref', draftId],
    ]);
    await sql('UPDATE course SET default_branch = $2 WHERE course_id = $1', [courseId, draftId]);
    expect(await found()).toContainEqual({
      what: 'bad_ref',
      object: draftId,
      message: 'the default branch is not there',
    });
  });

  it('finds that the published snapshot, a version or a tag was moved', async () => {
    const [old, head] = [commits[1] as Commit, commits[3] as Commit];
    await sql('UPDATE course SET published = $2 WHERE course_id = $1', [courseId, fromHash(head.hash)]);
    await sql(
      `INSERT INTO version (course_id, number, branch_id, "commit", tree, notes, created_by, created_at)
       VALUES ($1, 1, $2, $3, $4, '', 'ada', now())`,
      [courseId, branchId, fromHash(head.hash), fromHash(head.root)],
    );
    await sql(
      `INSERT INTO tag (course_id, name, "commit", annotation, semver, metadata, created_by, created_at)
       VALUES ($1, 'v1', $2, '', false, '{}', 'ada', now())`,
      [courseId, fromHash(head.hash)],
    );
    for (const ref of ['published', 'version/1', 'tag/v1']) await log(ref, head.hash);
    expect(await found()).toEqual([]);
    const moved = fromHash(old.hash);
    await sql('UPDATE version SET tree = $2 WHERE course_id = $1', [courseId, fromHash(old.root)]);
    expect(await found()).toMatchObject([{ what: 'bad_ref', object: 'version/1' }]);
    await sql('UPDATE version SET "commit" = $2 WHERE course_id = $1', [courseId, moved]);
    expect(await found()).toMatchObject([{ what: 'bad_ref', object: 'version/1' }]);
    await sql('UPDATE course SET published = $2 WHERE course_id = $1', [courseId, moved]);
    await sql('UPDATE tag SET "commit" = $2 WHERE course_id = $1', [courseId, moved]);
    const refs = (await found()).map(({ what, object }) => `${what} ${object}`);
    expect(refs.sort()).toEqual(['bad_ref published', 'bad_ref tag/v1', 'bad_ref version/1']);
  });

  it('finds a node without a home, one at home elsewhere, and a root without one', async () => {
    const [lesson = '', other = ''] = lessons;
    await sql('DELETE FROM node_home WHERE node_id = $1', [lesson]);
    await sql('UPDATE node_home SET course_id = $2 WHERE node_id = $1', [other, newId()]);
    await sql('DELETE FROM node_home WHERE node_id = $1', [courseId]);
    const homes = (await found()).map(({ what, object }) => [what, object]);
    expect(homes).toHaveLength(3);
    expect(homes).toEqual(expect.arrayContaining([lesson, other, courseId].map((id) => ['bad_home', id])));
  });

  it('finds a row of a history that names no commit, or one of another generation', async () => {
    const { hash } = commits[2] as Commit;
    await sql('UPDATE commit_node SET gen = gen + 1 WHERE course_id = $1 AND "commit" = $2', [
      courseId,
      fromHash(hash),
    ]);
    expect(await found()).toMatchObject([
      { what: 'bad_commit', object: hash, message: expect.stringContaining(lessons[0] ?? '-') },
    ]);
  });

  it('asks content for every body once, in its own name, and says which are gone or damaged', async () => {
    const [gone, broken] = [bodyHash(5), bodyHash(99)];
    service.content.asked.length = 0;
    service.content.wrong.set(gone, 'missing').set(broken, 'damaged');
    const report = await integrityOf(service.deps, courseId);
    expect(report.problems.map(({ what, object }) => [what, object]).sort()).toEqual([
      ['damaged_body', broken],
      ['missing_body', gone],
    ]);
    expect(report).toMatchObject({ bodies: 61, problemCount: 2 });
    const { asked } = service.content;
    expect(asked.flatMap(({ hashes }) => hashes).sort()).toEqual(
      [...Array.from({ length: 60 }, (_, n) => bodyHash(n + 1)), broken].sort(),
    );
    expect(new Set(asked.map((ask) => `${ask.courseId} ${ask.by}`))).toEqual(
      new Set([`${courseId} service:versioning`]),
    );
  });
});

describe('the shape of a tree', () => {
  it('is found to be wrong where a list is not chunked by the rule, though every hash is right', async () => {
    const heads = await sql<{ hash: Buffer; data: Buffer }>(
      'SELECT hash, data FROM object WHERE course_id = $1 AND kind = 1',
      [courseId],
    );
    const entries = heads.flatMap(({ hash, data }) => {
      const head = JSON.parse(data.toString()) as { kind: string; id: string };
      return head.kind === 'lesson' ? [[head.id, toHash(hash)] as const] : [];
    });
    // One list object of sixty entries, where the rule wants chunks; the heads above it are made anew.
    const put = async (kind: number, type: 'node' | 'list', data: string): Promise<string> => {
      const hash = hashOfData({ type, format: 1, data });
      await sql('INSERT INTO object VALUES ($1, $2, $3, $4, $5, now())', [
        courseId,
        fromHash(hash),
        kind,
        Buffer.from(data),
        1,
      ]);
      return hash;
    };
    const list = await put(2, 'list', JSON.stringify({ e: [...new Map(entries)] }));
    const node = { type: 'node', body: null, source: null } as const;
    const module = encodeObject({ ...node, kind: 'module', id: moduleId, fields: { title: 'x' }, children: list });
    await put(1, 'node', module.data);
    const short = Buffer.from(moduleId.replaceAll('-', ''), 'hex').toString('base64url');
    const top = await put(2, 'list', JSON.stringify({ e: [[short, module.hash]] }));
    const root = encodeObject({ ...node, kind: 'course', id: courseId, fields: { title: 'Checked' }, children: top });
    await put(1, 'node', root.data);
    const { hash } = commits[3] as Commit;
    await sql('UPDATE "commit" SET root = $2 WHERE course_id = $1 AND hash = $3', [
      courseId,
      fromHash(root.hash),
      fromHash(hash),
    ]);
    // The commit's hash covers its root.
    expect(await kinds()).toEqual(['bad_commit', 'bad_list']);
    expect((await found()).find(({ what }) => what === 'bad_list')?.object).toBe(list);
  });

  it('is found to be wrong where the index is that of another tree', async () => {
    const [first, head] = [commits[0] as Commit, commits[3] as Commit];
    await sql('UPDATE "commit" SET index_root = $2 WHERE course_id = $1 AND hash = $3', [
      courseId,
      fromHash(first.index),
      fromHash(head.hash),
    ]);
    expect(await kinds()).toEqual(['bad_commit', 'bad_index']);
    expect((await found()).find(({ what }) => what === 'bad_index')?.object).toBe(first.index);
  });

  it('that cannot be read is refused by readers, too', async () => {
    const { store } = service.sibling();
    await sql(`UPDATE object SET data = 'x' WHERE course_id = $1 AND kind = 1`, [courseId]);
    const at = await resolveRef(store, courseId, '');
    await expect(getOutline(store, at, { root: '', depth: 3 })).rejects.toMatchObject({
      kind: 'internal',
      reason: 'OBJECT_CORRUPT',
    });
  });
});
