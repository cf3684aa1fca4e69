import type { IntegrityProgress } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { RecallOutcome } from '@coursewright/proto/coursewright/common/v1/requests';
import { Part, type CommitResponse, type Op } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import { newId } from '@coursewright/platform/ids';
import { bodyHash } from './support/model.js';
import { add, expectRefusal } from './support/requests.js';
import { command, startService, type TestService } from './support/service.js';

const checked = async (courseId: string, options: { token: string }): Promise<IntegrityProgress[]> => {
  const messages: IntegrityProgress[] = [];
  for await (const message of service.client.checkIntegrity({ courseId }, options)) messages.push(message);
  return messages;
};
let service: TestService;
let author: { token: string };
const courseId = newId();
const unit = newId();
const modules = [newId(), newId()];
const lessons = Array.from({ length: 40 }, newId);

function setTitle(nodeId: string, title: string): { op: Op['op'] } {
  return { op: { $case: 'setFields', value: { nodeId, fields: { title } } } };
}

async function commit(ops: { op: Op['op'] }[], more: object = {}): Promise<CommitResponse> {
  return service.client.commit({ courseId, ops, message: 'A change', ...more }, author);
}

beforeAll(async () => {
  service = await startService();
  author = await service.as('author', [courseId]);
  const catalog = await service.service('catalog', { sub: 'user-author' });
  await service.client.createCourse({ courseId, fields: { title: 'Spanish A1', cefrLevel: 'A1' } }, catalog);
  await commit([
    add({ id: unit, parentId: courseId, kind: NodeKind.UNIT }),
    ...modules.map((id) => add({ id, parentId: unit, kind: NodeKind.MODULE })),
    ...lessons.map((id, n) =>
      add({ id, parentId: modules[0] ?? '', kind: NodeKind.LESSON, fields: { title: `Lesson ${n}` } }),
    ),
  ]);
});

afterAll(() => service.stop());

describe('reading a course', () => {
  it('shows the outline down to its modules, and deeper when asked', async () => {
    const flat = await service.client.getOutline({ courseId }, author);
    expect(flat.root?.children.map(({ id }) => id)).toEqual([unit]);
    expect(
      flat.root?.children[0]?.children.map(({ id, childCount, children }) => [id, childCount, children.length]),
    ).toEqual([
      [modules[0], 40, 0],
      [modules[1], 0, 0],
    ]);
    const deep = await service.client.getOutline({ courseId, rootId: modules[0] ?? '', depth: 1 }, author);
    expect(deep.root?.children.map(({ id }) => id)).toEqual(lessons);
  });

  it('finds a node by its id at every version, with its place and the commit that last changed it', async () => {
    const id = lessons[20] ?? '';
    const before = await service.client.getNode({ courseId, nodeId: id }, author);
    expect(before.node).toMatchObject({
      parentId: modules[0],
      position: 20,
      fields: { title: 'Lesson 20' },
      kind: NodeKind.LESSON,
    });
    const moved = await commit([{ op: { $case: 'move', value: { nodeId: id, parentId: modules[1] ?? '' } } }]);
    await commit([setTitle(lessons[3] ?? '', 'Another')]);
    const after = await service.client.getNode({ courseId, nodeId: id }, author);
    expect(after.node).toMatchObject({
      parentId: modules[1],
      position: 0,
      commit: moved.commit,
      updatedBy: 'user-author',
    });
    expect(after.node?.selfEtag).not.toBe(before.node?.selfEtag);
    const old = await service.client.getNode({ courseId, ref: before.ref?.commit ?? '', nodeId: id }, author);
    expect(old.node).toEqual(before.node);
    await commit([{ op: { $case: 'move', value: { nodeId: id, parentId: modules[0] ?? '', position: 20 } } }]);
  });

  it('lists children and all nodes in pages that stay at their commit', async () => {
    const first = await service.client.listChildren({ courseId, parentId: modules[0] ?? '', limit: 30 }, author);
    await commit([add({ parentId: modules[0] ?? '', kind: NodeKind.LESSON, position: 0 })]);
    const second = await service.client.listChildren({ courseId, cursor: first.next, limit: 30 }, author);
    expect([...first.nodes, ...second.nodes].map(({ id }) => id)).toEqual(lessons);
    expect(second.next).toBe('');
    const seen: string[] = [];
    for (let cursor = '', n = 0; n === 0 || cursor !== ''; n++) {
      const page = await service.client.listNodes(
        { courseId, ref: first.ref?.commit ?? '', kinds: [NodeKind.MODULE, NodeKind.LESSON], cursor, limit: 7 },
        author,
      );
      seen.push(...page.nodes.map(({ id }) => id));
      cursor = page.next;
    }
    expect(seen).toEqual([modules[0], ...lessons, modules[1]]);
  });

  it('logs commits newest first, and those of one node across its moves', async () => {
    const all = await service.client.listCommits({ courseId, limit: 3 }, author);
    const rest = await service.client.listCommits({ courseId, cursor: all.next }, author);
    const whole = await service.client.listCommits({ courseId }, author);
    expect([...all.commits, ...rest.commits]).toEqual(whole.commits);
    expect(whole.commits.at(-1)?.parents).toEqual([]);
    const own = await service.client.listCommits({ courseId, nodeId: lessons[20] ?? '' }, author);
    expect(own.commits.map(({ changes }) => changes)).toMatchObject([{ moved: 1 }, { moved: 1 }, { added: 43 }]);
  });

  it('compares two commits by node, field and place', async () => {
    const from = (await service.client.getCourse({ courseId }, author)).head;
    const fresh = add({
      parentId: modules[1] ?? '',
      kind: NodeKind.ASSIGNMENT,
      fields: { title: 'Essay', submittable: true },
    });
    const to = await commit([
      setTitle(lessons[0] ?? '', 'Renamed'),
      { op: { $case: 'setBody', value: { nodeId: lessons[1] ?? '', body: bodyHash(1) } } },
      { op: { $case: 'remove', value: { nodeId: lessons[2] ?? '' } } },
      { op: { $case: 'move', value: { nodeId: lessons[5] ?? '', parentId: modules[1] ?? '' } } },
      { op: { $case: 'move', value: { nodeId: lessons[30] ?? '', parentId: modules[0] ?? '', position: 0 } } },
      fresh,
    ]);
    const compare = await service.client.compare({ courseId, from, to: to.commit }, author);
    expect(compare.summary).toEqual({
      added: 1,
      removed: 1,
      moved: 1,
      renamed: 1,
      reordered: 1,
      edited: 1,
      kindChanged: 0,
    });
    const byId = new Map(compare.items.map((item) => [item.nodeId, item]));
    expect(byId.get(lessons[0] ?? '')).toMatchObject({
      changes: ['renamed'],
      fields: [{ pointer: '/title', from: 'Lesson 0', to: 'Renamed' }],
    });
    expect(byId.get(lessons[1] ?? '')).toMatchObject({ changes: ['edited'], fromBody: '', toBody: bodyHash(1) });
    expect(byId.get(lessons[5] ?? '')).toMatchObject({
      changes: ['moved'],
      from: { parentId: modules[0] },
      to: { parentId: modules[1], position: 0 },
    });
    expect(byId.get(lessons[30] ?? '')).toMatchObject({ changes: ['reordered'], to: { position: 0 } });
    expect(byId.get(fresh.op.value.id)).toMatchObject({
      changes: ['added'],
      path: ['Spanish A1', 'A title', 'A title'],
    });
    const one = await service.client.compare({ courseId, from, to: to.commit, limit: 1 }, author);
    const other = await service.client.compare({ courseId, cursor: one.next }, author);
    expect([...one.items, ...other.items]).toEqual(compare.items);
  });
});

describe('a change', () => {
  it('that changes nothing makes no commit', async () => {
    const head = (await service.client.getCourse({ courseId }, author)).head;
    const same = await commit([setTitle(lessons[0] ?? '', 'Renamed')]);
    expect(same).toMatchObject({ unchanged: true, commit: head });
  });

  it('is applied to the present head when others have written since, and refused only for the very thing', async () => {
    const base = (await service.client.getCourse({ courseId }, author)).head;
    const body = (etag: string, hash: string, nodeId = lessons[10] ?? '') => ({
      ops: [{ op: { $case: 'setBody' as const, value: { nodeId, body: hash } } }],
      more: { base, expect: [{ nodeId, part: Part.BODY, etag }] },
    });
    const mine = body('none', bodyHash(2));
    await commit(mine.ops, mine.more);
    const other = body('none', bodyHash(3), lessons[11]);
    await commit(other.ops, other.more);
    await commit([
      {
        op: { $case: 'reorder', value: { nodeId: modules[0] ?? '', children: [lessons[11] ?? '', lessons[10] ?? ''] } },
      },
    ]);
    const again = await commit(mine.ops, mine.more);
    expect(again.unchanged).toBe(true);
    const late = body('none', bodyHash(4));
    const details = await expectRefusal(commit(late.ops, late.more), 'stale', 'STALE');
    expect(details).toMatchObject({ node: lessons[10], part: 'body', current: { body: bodyHash(2) } });
  });

  it('with a strict head is refused once the head moved', async () => {
    const expectedHead = (await service.client.getCourse({ courseId }, author)).head;
    await commit([setTitle(lessons[12] ?? '', 'x')], { expectedHead });
    const details = await expectRefusal(commit([setTitle(lessons[12] ?? '', 'y')], { expectedHead }), 'stale', 'STALE');
    expect(details.head).toBe((await service.client.getCourse({ courseId }, author)).head);
  });

  it('of something gone is a conflict, of something wrong a refusal with pointers', async () => {
    const gone = lessons[2] ?? '';
    await expectRefusal(commit([setTitle(gone, 'x')]), 'conflict', 'NODE_GONE');
    await expectRefusal(
      commit([setTitle(gone, 'x')], { expect: [{ nodeId: gone, part: Part.SELF, etag: 'e' }] }),
      'stale',
      'STALE',
    );
    await expectRefusal(commit([add({ parentId: newId(), kind: NodeKind.LESSON })]), 'conflict', 'PARENT_GONE');
    expect((await commit([{ op: { $case: 'remove', value: { nodeId: gone } } }])).unchanged).toBe(true);
    const wrong = commit([
      add({ parentId: courseId, kind: NodeKind.LESSON }),
      add({ parentId: unit, kind: NodeKind.MODULE, fields: { title: ' ' } }),
    ]);
    await expect(wrong).rejects.toMatchObject({
      kind: 'unprocessable',
      reason: 'OPS_REFUSED',
      fields: [{ pointer: '/ops/1/fields/title' }],
    });
    await expectRefusal(commit([add({ parentId: courseId, kind: NodeKind.LESSON })]), 'unprocessable', 'OPS_REFUSED');
  });

  it('cannot take an id that lives in another course', async () => {
    const other = newId();
    const owner = await service.as('author', [other, courseId]);
    await service.client.createCourse(
      { courseId: other, fields: { title: 'Other' } },
      await service.service('catalog'),
    );
    const taken = add({ id: unit, parentId: other, kind: NodeKind.UNIT });
    await expectRefusal(service.client.commit({ courseId: other, ops: [taken] }, owner), 'already_exists', 'ID_TAKEN');
    const { homes } = await service.client.locate({ ids: [unit, other, newId()] }, owner);
    expect(homes).toEqual(
      expect.arrayContaining([
        { nodeId: unit, courseId },
        { nodeId: other, courseId: other },
      ]),
    );
    expect(homes).toHaveLength(2);
  });

  it('with a command answers a repeat with the first result, and another request under it with a refusal', async () => {
    const ops = [add({ parentId: modules[1] ?? '', kind: NodeKind.LESSON })];
    const options = { ...author, ...command('key-1') };
    const first = await service.client.commit({ courseId, ops, message: 'Once' }, options);
    await commit([setTitle(lessons[13] ?? '', 'meanwhile')]);
    expect(await service.client.commit({ courseId, ops, message: 'Once' }, options)).toEqual(first);
    const reused = service.client.commit({ courseId, ops }, { ...author, ...command('key-1', 'other') });
    await expectRefusal(reused, 'unprocessable', 'IDEMPOTENCY_KEY_REUSED');
    const gateway = await service.service('gateway');
    const recall = await service.requests.recall({ actor: 'user-author', key: 'key-1', fingerprint: 'key-1' }, gateway);
    expect(recall).toMatchObject({ outcome: RecallOutcome.DONE, result: { commit: first.commit } });
  });
});

describe('a branch', () => {
  it('is made at a commit, goes its own way and tells how far it is from its parent', async () => {
    const made = await service.client.createBranch(
      { courseId, name: 'draft/summer', metadata: { for: 'summer' } },
      author,
    );
    expect(made).toMatchObject({
      parent: 'main',
      ahead: 0,
      behind: 0,
      metadata: { for: 'summer' },
      defaultBranch: false,
    });
    await commit([setTitle(lessons[14] ?? '', 'on the branch')], { branch: 'draft/summer' });
    await commit([setTitle(lessons[15] ?? '', 'on main')]);
    await commit([setTitle(lessons[15] ?? '', 'on main again')]);
    expect(await service.client.getBranch({ courseId, name: 'draft/summer' }, author)).toMatchObject({
      ahead: 1,
      behind: 2,
    });
    const { branches } = await service.client.listBranches({ courseId }, author);
    expect(branches.map(({ name, defaultBranch }) => [name, defaultBranch])).toEqual([
      ['draft/summer', false],
      ['main', true],
    ]);
    const { node } = await service.client.getNode({ courseId, ref: 'draft/summer', nodeId: lessons[15] ?? '' }, author);
    expect(node?.fields?.title).toBe('Lesson 15');
    await expectRefusal(
      service.client.createBranch({ courseId, name: 'main' }, author),
      'already_exists',
      'NAME_TAKEN',
    );
    for (const name of ['', '12', 'published', 'import/x', bodyHash(1), 'a b', '../x', 'deadbeef1']) {
      await expectRefusal(service.client.createBranch({ courseId, name }, author), 'invalid_argument', 'NAME_INVALID');
    }
    await expectRefusal(service.client.resolveRef({ courseId, ref: 'no-such' }, author), 'not_found', 'REF_NOT_FOUND');
  });
});

describe('an import', () => {
  it('writes unseen to a hidden branch and comes in by one graft with one event', async () => {
    const target = newId();
    const content = await service.service('content');
    const catalog = await service.service('catalog');
    const owner = await service.as('author', [target]);
    await service.client.createCourse({ courseId: target, fields: { title: 'Imported' } }, content);
    const before = await service.events.eventsSince({ courseId: target }, catalog);
    const branch = `import/${newId()}`;
    const unitId = newId();
    const moduleId = newId();
    const many = Array.from({ length: 300 }, () => newId());
    const source = { format: 'olx', key: 'chapter/1' };
    await service.client.commit(
      {
        courseId: target,
        branch,
        kind: 'import',
        ops: [
          add({ id: unitId, parentId: target, kind: NodeKind.UNIT, source }),
          add({ id: moduleId, parentId: unitId, kind: NodeKind.MODULE }),
        ],
      },
      { ...content, ...command('i/1') },
    );
    const step = {
      courseId: target,
      branch,
      kind: 'import',
      ops: many.map((id) => add({ id, parentId: moduleId, kind: NodeKind.LESSON, body: bodyHash(9) })),
    };
    const once = await service.client.commit(step, { ...content, ...command('i/2') });
    expect(await service.client.commit(step, { ...content, ...command('i/2') })).toEqual(once);
    await expectRefusal(
      service.client.getOutline({ courseId: target, ref: branch }, owner),
      'not_found',
      'REF_NOT_FOUND',
    );
    const grafted = await service.client.graft(
      { courseId: target, from: branch, message: 'Import' },
      { ...content, ...command('i/graft') },
    );
    expect(
      await service.client.graft(
        { courseId: target, from: branch, message: 'Import' },
        { ...content, ...command('i/graft') },
      ),
    ).toEqual(grafted);
    await expectRefusal(
      service.client.graft({ courseId: target, from: branch }, content),
      'already_exists',
      'ID_TAKEN',
    );
    const { events } = await service.events.eventsSince({ courseId: target, afterSeq: before.watermark }, catalog);
    expect(events).toHaveLength(1);
    expect(events[0]?.data).toMatchObject({
      truncated: true,
      changes: { added: 302 },
      counts: { units: 1, modules: 1, lessons: 300 },
    });
    expect((events[0]?.data?.nodes as unknown[]).length).toBe(200);
    const { node } = await service.client.getNode({ courseId: target, nodeId: many[7] ?? '' }, owner);
    expect(node).toMatchObject({ commit: grafted.commit, updatedBy: 'importer' });
    const unitNode = await service.client.getNode({ courseId: target, nodeId: unitId }, owner);
    expect(unitNode.node).toMatchObject({ source, commit: grafted.commit });
    expect((await checked(target, owner)).at(-1)).toMatchObject({
      done: true,
      problemCount: 0,
      bodies: 1,
    });

    const again = `import/${newId()}`;
    await service.client.commit(
      {
        courseId: target,
        branch: again,
        kind: 'import',
        start: grafted.commit,
        ops: [setTitle(unitId, 'Imported anew')],
      },
      content,
    );
    const re = await service.client.graft(
      { courseId: target, from: again, start: grafted.commit, message: 'Import again' },
      content,
    );
    const changed = await service.client.getNode({ courseId: target, nodeId: unitId }, owner);
    expect(changed.node).toMatchObject({ commit: re.commit, fields: { title: 'Imported anew' } });
    await expectRefusal(
      service.client.graft({ courseId: target, from: again, start: grafted.commit }, content),
      'stale',
      'STALE',
    );
    expect((await checked(target, owner)).flatMap(({ problems }) => problems)).toEqual([]);
  });
});

describe('the events of a course', () => {
  it('follow its visible commits one by one, and its state tells the head', async () => {
    const catalog = await service.service('catalog');
    const { events, watermark } = await service.events.eventsSince({ courseId }, catalog);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
    expect(watermark).toBe(events.length);
    expect(events[0]).toMatchObject({
      type: 'committed',
      data: { message: 'Create the course', rootFields: { title: 'Spanish A1' }, defaultBranch: true },
    });
    const state = await service.events.getState({ courseId }, catalog);
    const { head } = await service.client.getCourse({ courseId }, author);
    expect(state).toMatchObject({
      seq: watermark,
      state: { head: { commit: head, truncated: true, counts: { units: 1, modules: 2 } } },
    });
  });

  it('say of a node when nothing but its body has changed', async () => {
    const nodeId = lessons[20] ?? '';
    const body = (n: number) => ({ op: { $case: 'setBody' as const, value: { nodeId, body: bodyHash(n) } } });
    for (const ops of [[body(7)], [setTitle(nodeId, 'Another title')], [body(8), setTitle(nodeId, 'A third')]])
      await service.client.commit({ courseId, ops, message: 'said of' }, author);
    const { watermark } = await service.events.eventsSince(
      { courseId, afterSeq: 1_000_000 },
      await service.service('catalog'),
    );
    const { events } = await service.events.eventsSince(
      { courseId, afterSeq: watermark - 3 },
      await service.service('catalog'),
    );
    const told = events.map(({ data }) => (data?.['nodes'] as { id: string; what: string[]; bodyOnly: boolean }[])[0]);
    expect(told).toMatchObject([true, false, false].map((bodyOnly) => ({ id: nodeId, what: ['edited'], bodyOnly })));
  });
});
