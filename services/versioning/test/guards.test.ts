import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { Branch, type CommitResponse } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';
import { bodyHash } from './support/model.js';
import { add, expectRefusal, setFields, type WireOp } from './support/requests.js';
import { command, integrityOf, startService, type TestService } from './support/service.js';

let service: TestService;
let admin: { token: string };
let author: { token: string };
let content: { token: string };
let catalog: { token: string };
let courseId: string;
let unit: string;

async function commit(ops: WireOp[], more: object = {}, who = author): Promise<CommitResponse> {
  return service.client.commit({ courseId, ops, message: 'A change', ...more }, who);
}

const close = (more: object = {}) => service.client.closeCourse({ courseId, closed: true, ...more }, catalog);

beforeAll(async () => {
  service = await startService();
  admin = await service.as('admin', [], { roles: ['admin'] });
  content = await service.service('content', { sub: 'ivy' });
  catalog = await service.service('catalog', { sub: 'ann' });
});
afterAll(() => service.stop());

beforeEach(async () => {
  [courseId, unit] = [newId(), newId()];
  author = await service.as('author', [courseId]);
  await service.client.createCourse({ courseId, fields: { title: 'A course' } }, catalog);
  await commit([add({ id: unit, parentId: courseId, kind: NodeKind.UNIT })]);
});

/** What an import has written to its hidden branch and nobody sees. */
async function imported(): Promise<{ branch: string; commit: string; module: string }> {
  const [branch, module] = [`import/${newId()}`, newId()];
  const start = (await service.client.getCourse({ courseId }, admin)).head;
  const ops = [add({ id: module, parentId: unit, kind: NodeKind.MODULE })];
  const made = await commit(ops, { branch, start, kind: 'import' }, content);
  return { branch, commit: made.commit, module };
}

describe('a closed course', () => {
  it('refuses every write of everybody until it is opened, and is read as before', async () => {
    const { branch } = await imported();
    const { tree } = await service.client.getCourse({ courseId }, author);
    expect(await close({ expectedTree: tree })).toEqual({ tree, closed: true });
    expect(await close({ expectedTree: tree })).toEqual({ tree, closed: true });
    const writes: (() => Promise<unknown>)[] = [
      () => commit([setFields(unit, { title: 'x' })]),
      () => commit([setFields(unit, { title: 'x' })], {}, admin),
      () => commit([setFields(unit, { title: 'x' })], { branch }, content),
      () => commit([setFields(unit, { title: 'x' })], { branch: `import/${newId()}` }, content),
      () => commit([setFields(unit, { title: 'x' })], { branch: `import/${newId()}`, start: '' }, content),
      () => service.client.graft({ courseId, from: branch }, content),
      () => service.client.createBranch({ courseId, name: 'draft' }, admin),
      () => service.client.createBranch({ courseId, name: 'draft' }, { ...author, ...command(newId()) }),
    ];
    for (const write of writes) await expectRefusal(write(), 'conflict', 'COURSE_CLOSED');
    expect((await service.client.getOutline({ courseId }, author)).root?.childCount).toBe(1);
    expect(await close({ closed: false })).toEqual({ tree, closed: false });
    expect((await commit([setFields(unit, { title: 'Open again' })])).unchanged).toBe(false);
    expect((await commit([setFields(unit, { title: 'And here' })], { branch }, content)).unchanged).toBe(false);
    await service.client.createBranch({ courseId, name: 'draft' }, admin);
    expect((await integrityOf(service.sibling(), courseId)).problems).toEqual([]);
  });

  it('is what the last one in charge made it, whatever an earlier one sends then', async () => {
    const { tree } = await close({ turn: 10 });
    await expectRefusal(close({ closed: false, turn: 9 }), 'conflict', 'IN_PROGRESS');
    await expectRefusal(commit([setFields(unit, { title: 'x' })]), 'conflict', 'COURSE_CLOSED');
    expect(await close({ closed: false, turn: 10 })).toEqual({ tree, closed: false });
    expect(await close({ closed: false, turn: 11 })).toEqual({ tree, closed: false });
    await expectRefusal(close({ turn: 10 }), 'conflict', 'IN_PROGRESS');
    expect((await commit([setFields(unit, { title: 'Open' })])).unchanged).toBe(false);
  });

  it('stays open when its tree is not the one that was seen, and says which it has', async () => {
    const { tree } = await service.client.getCourse({ courseId }, author);
    const made = await commit([setFields(unit, { title: 'Meanwhile' })]);
    const details = await expectRefusal(close({ expectedTree: tree }), 'stale', 'STALE');
    expect(details).toEqual({ head: made.commit, tree: made.tree });
    expect((await commit([setFields(unit, { title: 'Still open' })])).unchanged).toBe(false);
    await expectRefusal(
      service.client.closeCourse({ courseId: newId(), closed: true }, catalog),
      'not_found',
      'COURSE_NOT_FOUND',
    );
  });

  it('still answers a repeated command with its first result', async () => {
    const options = { ...author, ...command(newId()) };
    const ops = [setFields(unit, { title: 'Once' })];
    const first = await service.client.commit({ courseId, ops, message: 'Once' }, options);
    await close();
    expect(await service.client.commit({ courseId, ops, message: 'Once' }, options)).toEqual(first);
  });

  it('lets what a failed import has left be taken away', async () => {
    const { branch } = await imported();
    await close();
    expect(await service.client.dropImport({ courseId, name: branch }, content)).toEqual({ dropped: true });
  });
});

describe('a protected branch', () => {
  it('takes no graft: an import has no role on the course, whoever started it', async () => {
    await service.client.createBranch({ courseId, name: 'release', protected: true }, admin);
    const { branch } = await imported();
    const { head } = await service.client.getBranch({ courseId, name: 'release' }, admin);
    // One import that would take the place of the whole tree, and one that would put its own unit beside what is there.
    const fresh = `import/${newId()}`;
    await commit([add({ id: newId(), parentId: courseId, kind: NodeKind.UNIT })], { branch: fresh }, content);
    for (const [from, start] of [
      [branch, head],
      [fresh, ''],
    ])
      await expectRefusal(
        service.client.graft({ courseId, from: from ?? '', branch: 'release', start: start ?? '' }, content),
        'permission_denied',
        'BRANCH_PROTECTED',
      );
    await expectRefusal(
      commit([setFields(unit, { title: 'x' })], { branch: 'release' }),
      'permission_denied',
      'BRANCH_PROTECTED',
    );
    expect((await service.client.getBranch({ courseId, name: 'release' }, admin)).head).toBe(head);
    expect((await commit([setFields(unit, { title: 'x' })], { branch: 'release' }, admin)).unchanged).toBe(false);
  });
});

describe('one of our services', () => {
  it('commits to the hidden branches of imports and to nothing else', async () => {
    await service.client.createBranch({ courseId, name: 'draft' }, admin);
    for (const branch of ['', 'main', 'draft'])
      await expectRefusal(
        commit([setFields(unit, { title: 'x' })], { branch }, content),
        'permission_denied',
        'FORBIDDEN',
      );
    await expectRefusal(commit([], { branch: 'import/x' }), 'permission_denied', 'FORBIDDEN');
    await expectRefusal(commit([], { branch: 'import/x' }, admin), 'permission_denied', 'FORBIDDEN');
  });

  it('writes nothing at all unless it is the one that imports, not even to a hidden branch', async () => {
    const ops = [setFields(unit, { title: 'x' })];
    for (const name of ['gateway', 'catalog', 'review', 'versioning', 'deployment']) {
      const other = await service.service(name);
      for (const branch of ['', `import/${newId()}`])
        await expectRefusal(commit(ops, { branch, kind: 'import' }, other), 'permission_denied', 'FORBIDDEN');
    }
  });
});

describe('a commit that no visible ref reaches', () => {
  it('is not there for reading, comparing, branching or as a base; for its import it is', async () => {
    const hidden = await imported();
    for (const hash of [hidden.commit, bodyHash(7)]) {
      const refused: [Promise<unknown>, string][] = [
        [service.client.getNode({ courseId, ref: hash, nodeId: unit }, author), 'REF_NOT_FOUND'],
        [service.client.getOutline({ courseId, ref: hash }, admin), 'REF_NOT_FOUND'],
        [service.client.resolveRef({ courseId, ref: hash }, author), 'REF_NOT_FOUND'],
        [service.client.listCommits({ courseId, ref: hash }, author), 'REF_NOT_FOUND'],
        [service.client.compare({ courseId, from: 'main', to: hash }, author), 'REF_NOT_FOUND'],
        [service.client.createBranch({ courseId, name: `b-${newId()}`, from: hash }, author), 'REF_NOT_FOUND'],
        [commit([setFields(unit, { title: 'x' })], { base: hash }), 'COMMIT_NOT_FOUND'],
        [commit([], { branch: `import/${newId()}`, start: hash }, content), 'COMMIT_NOT_FOUND'],
        [service.client.listNodes({ courseId, ref: hash }, await service.service('deployment')), 'REF_NOT_FOUND'],
      ];
      for (const [work, reason] of refused) await expectRefusal(work, 'not_found', reason);
    }
    const { nodes } = await service.client.listNodes({ courseId, ref: hidden.commit }, content);
    expect(nodes.map(({ id }) => id)).toContain(hidden.module);
    await service.client.graft(
      { courseId, from: hidden.branch, start: (await service.client.getCourse({ courseId }, admin)).head },
      content,
    );
    // Its tree is in the course now, the commit of the hidden branch still is not.
    await expectRefusal(
      service.client.getOutline({ courseId, ref: hidden.commit }, admin),
      'not_found',
      'REF_NOT_FOUND',
    );
  });

  it('is found by any branch, version or tag that has it in its history', async () => {
    await service.client.createBranch({ courseId, name: 'draft' }, admin);
    const first = await commit([setFields(unit, { title: '1' })], { branch: 'draft' });
    await commit([setFields(unit, { title: '2' })], { branch: 'draft' });
    const { node } = await service.client.getNode({ courseId, ref: first.commit, nodeId: unit }, author);
    expect(node?.fields?.title).toBe('1');
    const on = await commit([setFields(unit, { title: '3' })], { base: first.commit });
    expect(on.branch).toBe('main');
  });
});

describe('making the same again', () => {
  it('answers who made a course with its first commit, and nobody else with anything of it', async () => {
    const again = await service.client.createCourse({ courseId, fields: { title: 'Other' } }, catalog);
    const { commits } = await service.client.listCommits({ courseId }, author);
    expect(again).toMatchObject({ unchanged: true, commit: commits.at(-1)?.hash, nodeIds: [courseId] });
    const stranger = await service.service('content', { sub: 'bob' });
    const details = await expectRefusal(
      service.client.createCourse({ courseId, fields: { title: 'Mine' } }, stranger),
      'already_exists',
      'ID_TAKEN',
    );
    expect(details).toEqual({ ids: [courseId] });
    await expectRefusal(
      service.client.createCourse({ courseId: unit, fields: { title: 'Mine' } }, catalog),
      'already_exists',
      'ID_TAKEN',
    );
  });

  it('of a branch answers what the first did, however far the branch has come since', async () => {
    const options = { ...author, ...command(newId()) };
    const ask = { courseId, name: 'draft', metadata: { a: [1, null, { b: 'c' }] } };
    const first = await service.client.createBranch(ask, options);
    await commit([setFields(unit, { title: '1' })], { branch: 'draft' });
    await commit([setFields(unit, { title: '2' })]);
    expect(await service.client.getBranch({ courseId, name: 'draft' }, author)).toMatchObject({ ahead: 1, behind: 1 });
    expect(await service.client.createBranch(ask, options)).toEqual(first);
    const kept = await service.requests.recall(
      { actor: 'user-author', key: options.command.id, fingerprint: options.command.fingerprint },
      await service.service('gateway'),
    );
    expect(Branch.fromJSON(kept.result)).toEqual(first);
  });
});
