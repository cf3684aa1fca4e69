import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError } from '@coursewright/platform/errors';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createRoutes } from '../src/routes/table.js';
import { seedCourse, startSystem, type Answer, type Ask, type System } from './support/system.js';

const routes = createRoutes('http://gateway.test');
let system: System;
let courseId: string;
beforeAll(async () => {
  system = await startSystem();
  ({ courseId } = seedCourse(system));
});
afterAll(() => system.stop());

const owner = { as: 'owner', roles: ['author'] };

/** Asks as the owner, and checks the answer's shape against the table. */
async function ask(method: string, path: string, how: Ask = {}): Promise<Answer> {
  const answer = await system.ask(method, `/api${path}`, { ...owner, ...how });
  const plain = path.split('?')[0]!;
  const route = routes.find(
    (one) =>
      one.method === method.toLowerCase() && new RegExp(`^${one.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(plain),
  );
  if (answer.status < 300) {
    const shape = route?.responses[answer.status];
    expect(shape).toBeDefined();
    if (shape) expect(shape.safeParse(answer.body).error).toBeUndefined();
    else expect(answer.text).toBe('');
  }
  return answer;
}

const etag = (answer: Answer): string => answer.headers.get('etag') ?? '';

async function addUnit(title = 'Unit', position?: number): Promise<Answer> {
  return ask('POST', `/courses/${courseId}/units`, {
    json: { title, ...(position === undefined ? {} : { position }) },
  });
}

async function addLesson(): Promise<string> {
  const unit = await addUnit();
  const module = await ask('POST', `/units/${unit.body.id}/modules`, { json: { title: 'Module' } });
  const lesson = await ask('POST', `/modules/${module.body.id}/lessons`, { json: { title: 'Lesson' } });
  expect(lesson.status).toBe(201);
  return String(lesson.body.id);
}

describe('A1 courses', () => {
  it('makes a course, and answers where it is, what it is, and with which commit', async () => {
    const made = await ask('POST', '/courses', {
      json: { title: 'Law', cefrLevel: 'B1', tags: ['x'], description: '' },
    });
    expect(made.status).toBe(201);
    expect(made.headers.get('location')).toBe(`/api/courses/${made.body.id}`);
    expect(made.headers.get('commit')).toBe(made.body.head);
    expect(made.body).toMatchObject({
      title: 'Law',
      cefrLevel: 'B1',
      tags: ['x'],
      description: '',
      language: null,
      owner: 'owner',
    });
    const read = await ask('GET', `/courses/${made.body.id}`);
    expect(read.text).toBe(made.text);
    expect(etag(read)).toBe(etag(made));
  });

  it('lets nobody make one without the right', async () => {
    const answer = await ask('POST', '/courses', { roles: [], json: { title: 'Law' } });
    expect([answer.status, answer.body.reason]).toEqual([403, 'FORBIDDEN']);
  });

  it('answers 304 to who has it, by any of his tags, weak or strong', async () => {
    const read = await ask('GET', `/courses/${courseId}`);
    for (const known of [etag(read), `W/${etag(read)}`, `"x", ${etag(read)}`, '*']) {
      const again = await ask('GET', `/courses/${courseId}`, { headers: { 'if-none-match': known } });
      expect([again.status, again.text, etag(again)]).toEqual([304, '', etag(read)]);
    }
    expect((await ask('GET', `/courses/${courseId}`, { headers: { 'if-none-match': '"x"' } })).status).toBe(200);
  });

  it('changes fields by PATCH and PUT, takes null away, and makes no commit of nothing', async () => {
    const read = await ask('GET', `/courses/${courseId}`);
    const patched = await ask('PATCH', `/courses/${courseId}?message=Why`, {
      ifMatch: etag(read),
      json: { topic: 'T', language: null },
    });
    expect(patched.body).toMatchObject({ topic: 'T', language: null });
    expect(patched.headers.get('commit')).toBe(patched.body.head);
    const { title, description, topic, cefrLevel, language, tags } = patched.body;
    const same = { title, description, topic, cefrLevel, language, tags };
    const put = await ask('PUT', `/courses/${courseId}`, { ifMatch: etag(patched), json: same });
    expect([put.status, put.headers.get('commit'), etag(put)]).toEqual([200, null, etag(patched)]);
    const incomplete = await ask('PUT', `/courses/${courseId}`, { ifMatch: etag(patched), json: { title } });
    expect(incomplete.status).toBe(400);
    const log = await ask('GET', `/courses/${courseId}/commits`);
    expect(log.body.items[0].message).toBe('Why');
  });

  it('wants If-Match (428), refuses a stale one with the present state (412), takes * and the weak form', async () => {
    const path = `/courses/${courseId}`;
    const missing = await ask('PATCH', path, { json: { topic: 'U' } });
    expect([missing.status, missing.body.reason]).toEqual([428, 'IF_MATCH_REQUIRED']);
    const broken = await ask('PATCH', path, { ifMatch: 'no-quotes', json: { topic: 'U' } });
    expect([broken.status, broken.body.errors[0].pointer]).toEqual([400, '/header/if-match']);
    const read = await ask('GET', path);
    const first = await ask('PATCH', path, { ifMatch: `W/${etag(read)}`, json: { topic: 'U' } });
    expect(first.status).toBe(200);
    const stale = await ask('PATCH', path, { ifMatch: etag(read), json: { topic: 'V' } });
    expect([stale.status, stale.body.reason]).toEqual([412, 'STALE']);
    expect(stale.body.current).toEqual({ etag: etag(first), head: first.body.head });
    expect((await ask('PATCH', path, { ifMatch: '*', json: { topic: 'W' } })).status).toBe(200);
    const now = etag(await ask('GET', path));
    expect((await ask('PATCH', path, { ifMatch: `"x.y.z", ${now}`, json: { topic: 'X' } })).status).toBe(200);
    for (const odd of ['""', '"."', '"none"', '"a.b.c.d"'])
      expect((await ask('PATCH', path, { ifMatch: odd, json: { topic: 'Y' } })).status).toBe(412);
  });

  it('is not disturbed by a new unit in PATCH, but is in DELETE', async () => {
    const mine = await ask('POST', '/courses', { json: { title: 'Mine' } });
    const path = `/courses/${mine.body.id}`;
    await ask('POST', `${path}/units`, { json: { title: 'New below' } });
    expect((await ask('DELETE', path, { ifMatch: etag(mine) })).status).toBe(412);
    const patched = await ask('PATCH', path, { ifMatch: etag(mine), json: { topic: 'T' } });
    expect(patched.status).toBe(200);
    expect((await ask('DELETE', path, { ifMatch: etag(patched) })).status).toBe(204);
    expect((await ask('GET', path)).status).toBe(404);
    const admin = { as: 'root', roles: ['admin'] };
    const deleted = await ask('GET', path, admin);
    expect(deleted.body.deletedAt).toMatch(/Z$/);
    expect((await ask('POST', `${path}/restore`)).status).toBe(404);
    const restored = await ask('POST', `${path}/restore`, admin);
    expect([restored.status, restored.body.deletedAt]).toEqual([200, undefined]);
    expect((await ask('GET', path)).status).toBe(200);
  });

  it('is not deleted under a save that lands meanwhile: the owner compares, not the gateway', async () => {
    const mine = await ask('POST', '/courses', { json: { title: 'Contested' } });
    const path = `/courses/${mine.body.id}`;
    system.catalog.beforeDelete = async () => {
      system.catalog.beforeDelete = async () => undefined;
      await ask('POST', `${path}/units`, { json: { title: 'In the last moment' } });
    };
    const refused = await ask('DELETE', path, { ifMatch: etag(mine) });
    expect([refused.status, refused.body.reason]).toEqual([412, 'STALE']);
    const now = await ask('GET', path);
    expect(now.status).toBe(200);
    expect(refused.body.current).toEqual({ etag: etag(now), head: now.body.head });
    for (const odd of ['""', '"a"', `${etag(now).split('.')[0]}"`, `${etag(now).split('.')[0]}.x.y"`])
      expect((await ask('DELETE', path, { ifMatch: odd })).status).toBe(412);
    expect((await ask('DELETE', path, { ifMatch: etag(now) })).status).toBe(204);
  });

  it('honours expectedHead', async () => {
    const read = await ask('GET', `/courses/${courseId}`);
    await addUnit();
    const late = await ask('PATCH', `/courses/${courseId}?expectedHead=${read.body.head}`, {
      ifMatch: '*',
      json: { topic: 'Z' },
    });
    expect(late.status).toBe(412);
    expect(late.body.current.head).not.toBe(read.body.head);
  });

  it('lists with facets on demand', async () => {
    const plain = await ask('GET', '/courses');
    expect([plain.status, plain.body.facets]).toEqual([200, undefined]);
    const counted = await ask('GET', '/courses?facets=true');
    expect(counted.body.facets).toEqual({ topic: [{ value: 'Law', count: 2 }] });
  });

  it('computes the status from review and publication', async () => {
    const { courseId: id } = seedCourse(system);
    const status = async () => (await ask('GET', `/courses/${id}`)).body;
    const repository = system.versioning.repository(id);
    const tree = () => system.versioning.node(id, system.versioning.at(id, '').commit.tree, id).treeEtag!;
    expect((await status()).status).toBe('draft');
    system.review.state = { state: 'in_review', tree: tree() };
    expect((await status()).status).toBe('in_review');
    system.review.state = { state: 'approved', tree: tree() };
    expect((await status()).status).toBe('approved');
    repository.published = repository.branches.get('main')!;
    expect(await status()).toMatchObject({ status: 'published', published: true, unpublishedChanges: false });
    await ask('POST', `/courses/${id}/units`, { json: { title: 'More' } });
    expect(await status()).toMatchObject({ status: 'published', unpublishedChanges: true, publishedVersion: 1 });
    system.review.state = { state: 'none', tree: '' };
  });
});

describe('A2 nodes', () => {
  it('adds, renames, moves, reorders and removes', async () => {
    const [a, b] = [await addUnit('A'), await addUnit('B')];
    expect(a.headers.get('location')).toBe(`/api/nodes/${a.body.id}`);
    expect(a.headers.get('commit')).toBeTruthy();
    const module = await ask('POST', `/units/${a.body.id}/modules`, {
      json: { title: 'M', fields: { durationMinutes: 5 } },
    });
    expect(module.body).toMatchObject({ kind: 'module', parentId: a.body.id, fields: { durationMinutes: 5 } });
    const path = `/nodes/${module.body.id}`;
    const moved = await ask('PATCH', path, {
      ifMatch: etag(module),
      json: { title: 'N', fields: { durationMinutes: null }, parentId: b.body.id },
    });
    expect(moved.body).toMatchObject({ title: 'N', fields: {}, parentId: b.body.id });
    const placed = await ask('PATCH', `/nodes/${b.body.id}`, { ifMatch: '*', json: { position: 0 } });
    expect([placed.status, placed.body.position]).toEqual([200, 0]);
    const first = await ask('GET', `/courses/${courseId}/units?limit=1`);
    expect(first.body.items[0].id).toBe(b.body.id);
    const gone = await ask('DELETE', path, { ifMatch: etag(moved) });
    expect([gone.status, gone.headers.get('commit')?.length]).toEqual([204, 43]);
    expect((await ask('GET', path)).status).toBe(404);
  });

  it('says whom a node is for, in itself and among the fields of an outline', async () => {
    const unit = await ask('POST', `/courses/${courseId}/units`, {
      json: { title: 'U', fields: { audience: 'author' } },
    });
    expect(unit.body.audience).toBe('author');
    expect((await addUnit()).body.audience).toBe('learner');
    const outline = await ask('GET', `/courses/${courseId}/outline`);
    const drawn = outline.body.root.children.find(({ id }: { id: string }) => id === unit.body.id);
    expect(drawn.fields).toEqual({ audience: 'author' });
  });

  it('lets a removal see new work below it', async () => {
    const unit = await addUnit();
    await ask('POST', `/units/${unit.body.id}/modules`, { json: { title: 'New' } });
    const refused = await ask('DELETE', `/nodes/${unit.body.id}`, { ifMatch: etag(unit) });
    expect([refused.status, refused.body.current.etag === etag(unit)]).toEqual([412, false]);
    const renamed = await ask('PATCH', `/nodes/${unit.body.id}`, { ifMatch: etag(unit), json: { title: 'Renamed' } });
    expect(renamed.status).toBe(200);
    expect((await ask('DELETE', `/nodes/${unit.body.id}`, { ifMatch: etag(renamed) })).status).toBe(204);
  });

  it('keeps to the kinds that the paths name', async () => {
    const unit = await addUnit();
    expect((await ask('GET', `/modules/${unit.body.id}/lessons`)).body.reason).toBe('NODE_NOT_FOUND');
    expect((await ask('POST', `/modules/${unit.body.id}/lessons`, { json: { title: 'L' } })).status).toBe(404);
    const root = await ask('PATCH', `/nodes/${courseId}`, { ifMatch: '*', json: { title: 'X' } });
    expect([root.status, root.body.reason]).toEqual([422, 'NODE_IS_COURSE']);
  });

  it('adds assignments beside lessons, and says in its own words what is refused', async () => {
    const unit = await addUnit();
    const module = await ask('POST', `/courses/${courseId}/modules`, { json: { title: 'Direct' } });
    expect(module.status).toBe(201);
    const both = `/modules/${module.body.id}/lessons`;
    expect((await ask('POST', both, { json: { title: 'A', kind: 'assignment' } })).body.kind).toBe('assignment');
    expect((await ask('POST', both, { json: { title: 'L' } })).body.kind).toBe('lesson');
    expect((await ask('GET', both)).body.items).toHaveLength(2);
    const refused = await ask('POST', `/units/${unit.body.id}/modules`, {
      json: { title: 'R', fields: { refused: true } },
    });
    expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, '/fields/refused']);
  });

  it('draws an outline whose cursors go on as lists of children', async () => {
    await addUnit();
    const outline = await ask('GET', `/courses/${courseId}/outline`);
    expect(outline.body.root.children.length).toBeGreaterThan(0);
    const [unit] = outline.body.root.children;
    const rest = await ask('GET', `/nodes/${unit.id}/children?cursor=${unit.next}`);
    expect(rest.status).toBe(200);
    expect((await ask('GET', `/nodes/${courseId}/children?cursor=${unit.next}`)).status).toBe(400);
    expect((await ask('GET', `/courses/${courseId}/outline?branch=main&at=1`)).body.errors[0].code).toBe('exclusive');
  });
});

describe('B1 lessons', () => {
  const document = { materials: [{ type: 'text/markdown', content: '# Hello' }] };

  it('answers the empty document with "none" before the first one', async () => {
    const id = await addLesson();
    const read = await ask('GET', `/lessons/${id}/content`);
    expect(read.body).toMatchObject({ lessonId: id, hash: 'none', content: { order: [] } });
    expect(etag(read)).toMatch(/^"none\./);
  });

  it('saves a document under its ETag, once', async () => {
    const id = await addLesson();
    const path = `/lessons/${id}/content`;
    const empty = await ask('GET', path);
    const saved = await ask('PUT', path, { ifMatch: etag(empty), json: document });
    expect([saved.status, saved.headers.get('content-location')]).toEqual([200, `/api${path}`]);
    expect(saved.headers.get('commit')).toBe(saved.body.commit);
    expect(etag(saved).startsWith(`"${saved.body.hash}.`)).toBe(true);
    const stale = await ask('PUT', path, { ifMatch: etag(empty), json: { materials: [] } });
    expect([stale.status, stale.body.current]).toEqual([412, { etag: etag(saved), head: saved.body.commit }]);
    const again = await ask('PUT', path, { ifMatch: etag(saved), json: document });
    expect([again.status, again.headers.get('commit'), etag(again)]).toEqual([200, null, etag(saved)]);
    expect((await ask('PUT', path, { json: document })).status).toBe(428);
  });

  it('is bounded at 1 MiB, and takes nothing but JSON', async () => {
    const path = `/lessons/${await addLesson()}/content`;
    const large = await ask('PUT', path, { ifMatch: '*', json: { materials: ['x'.repeat(1024 * 1024)] } });
    expect([large.status, large.body.reason]).toEqual([413, 'BODY_TOO_LARGE']);
    const text = await ask('PUT', path, { ifMatch: '*', raw: '{}', headers: { 'content-type': 'text/plain' } });
    expect(text.status).toBe(415);
    const broken = await ask('PUT', path, { ifMatch: '*', raw: '{', headers: { 'content-type': 'application/json' } });
    expect([broken.status, broken.body.reason]).toEqual([400, 'MALFORMED_JSON']);
  });
});

describe('B4 imports', () => {
  const archive = (bytes: number): Ask => ({
    raw: Buffer.alloc(bytes, 1),
    headers: { 'content-type': 'application/gzip' },
  });

  it('streams an archive, answers where the job is, and shows it to who began it alone', async () => {
    const before = system.content.uploaded;
    const started = await ask('POST', '/imports?format=olx', archive(3000));
    expect(started.status).toBe(202);
    expect(system.content.uploaded - before).toBe(3000);
    const path = started.headers.get('location')!.replace('/api', '');
    expect((await ask('GET', path)).body).toMatchObject({
      state: 'running',
      courseId: null,
      progress: { done: 0, total: null },
    });
    expect((await ask('GET', path, { as: 'other', roles: [] })).body.reason).toBe('IMPORT_NOT_FOUND');
    expect((await ask('GET', path, { as: 'root', roles: ['admin'] })).status).toBe(200);
  });

  it('refuses what is too large, announced or not, and other types and formats', async () => {
    const announced = await ask('POST', '/imports?format=olx', archive(5000));
    expect([announced.status, announced.body.reason]).toEqual([413, 'BODY_TOO_LARGE']);
    const body = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 8; i++) controller.enqueue(new Uint8Array(1000));
        controller.close();
      },
    });
    const headers = {
      'content-type': 'application/zip',
      authorization: `Bearer ${await system.sign({ sub: 'owner', roles: ['author'] })}`,
    };
    const init = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
    const silent = await fetch(`${system.origin}/api/imports?format=olx`, init);
    expect(silent.status).toBe(413);
    expect((await ask('POST', '/imports?format=olx', { json: {} })).status).toBe(415);
    expect((await ask('POST', '/imports?format=scorm', archive(1))).status).toBe(400);
    expect(
      (await ask('POST', `/imports?format=olx&course=${courseId}`, { ...archive(1), as: 'reviewer' })).status,
    ).toBe(403);
  });
});

describe('uploads', () => {
  const upload = async (at: System, chunks: (send: (bytes: number) => void) => Promise<void>): Promise<Response> => {
    const token = await at.sign({ sub: 'owner', roles: ['author'] });
    const body = new ReadableStream({
      async start(controller) {
        await chunks((bytes) => controller.enqueue(new Uint8Array(bytes)));
        controller.close();
      },
    });
    const headers = { 'content-type': 'application/zip', authorization: `Bearer ${token}` };
    const init = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
    return fetch(`${at.origin}/api/imports?format=olx`, init);
  };

  it('that find the disk full are told so at once and when to come back, however much is still to come', async () => {
    const large = await startSystem({ importBytes: 1 << 30 });
    large.content.refusal = new AppError('insufficient_storage', 'STORAGE_FULL', { retryAfterSeconds: 30 });
    try {
      const answer = await upload(large, async (send) => {
        for (let i = 0; i < 32; i++) send(1 << 20);
      });
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([507, '30']);
      expect(await answer.json()).toMatchObject({ status: 507, reason: 'STORAGE_FULL' });
    } finally {
      await large.stop();
    }
  });

  it('that are under way when the process is told to stop are brought to their end', async () => {
    const leaving = await startSystem();
    let goOn: () => void = () => undefined;
    const paused = new Promise<void>((resolve) => (goOn = resolve));
    const answer = upload(leaving, async (send) => {
      send(1000);
      await paused;
      send(1000);
    });
    await eventually(() => expect(leaving.content.uploaded).toBe(1000));
    const stopping = leaving.gateway.http.stop?.();
    await expect(fetch(`${leaving.origin}/livez`)).rejects.toThrow();
    goOn();
    expect((await answer).status).toBe(202);
    await stopping;
    await leaving.stop();
  });
});

describe('D history, compare, branches', () => {
  it('lists commits of a course and of a node', async () => {
    const unit = await addUnit();
    expect((await ask('GET', `/courses/${courseId}/commits?limit=2`)).body.items).toHaveLength(2);
    const history = await ask('GET', `/nodes/${unit.body.id}/history`);
    expect(history.body.items[0]).toMatchObject({ kind: 'edit', courseId, author: { id: 'maker' } });
    expect(system.versioning.calls.at(-1)).toMatchObject({ method: 'listCommits', request: { nodeId: unit.body.id } });
  });

  it('compares two states, text included', async () => {
    const id = await addLesson();
    const before = await ask('GET', `/courses/${courseId}`);
    const document = { materials: [{ type: 'text/markdown', content: 'Text' }] };
    const saved = await ask('PUT', `/lessons/${id}/content`, { ifMatch: '*', json: document });
    const compared = await ask('GET', `/courses/${courseId}/compare?from=${before.body.head}&to=main`);
    expect(compared.body.items).toHaveLength(1);
    expect(compared.body.items[0]).toMatchObject({ nodeId: id, content: [{ hunks: [{ lines: ['-a', '+b'] }] }] });
    expect(compared.body.items[0].content[0]).toMatchObject({ from: '', to: saved.body.hash });
    expect(compared.body.to).toEqual({ ref: 'main', commit: saved.body.commit });
    expect(compared.body.from.commit).toBe(before.body.head);
    expect((await ask('GET', `/courses/${courseId}/compare?from=nowhere`)).body.reason).toBe('REF_NOT_FOUND');
    expect((await ask('GET', `/courses/${courseId}/compare`)).body.errors[0].pointer).toBe('/query/from');
  });

  it('makes, lists and reads branches, and writes to them', async () => {
    const made = await ask('POST', `/courses/${courseId}/branches`, { json: { name: 'try/it' } });
    expect([made.status, made.headers.get('location')]).toEqual([201, `/api/courses/${courseId}/branches/try%2Fit`]);
    const read = await ask('GET', `/courses/${courseId}/branches/try%2Fit`);
    expect([read.text, etag(read)]).toEqual([made.text, etag(made)]);
    expect((await ask('GET', `/courses/${courseId}/branches`)).body.items).toHaveLength(2);
    expect((await ask('POST', `/courses/${courseId}/branches`, { json: { name: 'try/it' } })).status).toBe(409);
    const there = await ask('POST', `/courses/${courseId}/units?branch=try/it`, { json: { title: 'Only there' } });
    expect((await ask('GET', `/nodes/${there.body.id}?branch=try/it`)).status).toBe(200);
    expect((await ask('GET', `/nodes/${there.body.id}`)).status).toBe(404);
  });
});
