import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { seedCourse, startSystem, type Answer, type System } from './support/system.js';

let system: System;
let courseId: string;
beforeAll(async () => {
  system = await startSystem();
  ({ courseId } = seedCourse(system));
});
afterAll(() => system.stop());

function expectProblem(answer: Answer, status: number, reason: string): void {
  expect([answer.status, answer.body?.reason]).toEqual([status, reason]);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
  for (const name of ['type', 'title', 'detail', 'instance']) expect(typeof answer.body[name]).toBe('string');
  expect(answer.body.status).toBe(status);
}

/** Sends bytes as they are: fetch would not. */
function sendRaw(text: string): Promise<string> {
  const { port } = new URL(system.origin);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe('tokens', () => {
  it('asks for a token, and says how', async () => {
    const answer = await system.ask('GET', '/api/courses');
    expectProblem(answer, 401, 'TOKEN_MISSING');
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="coursewright"');
  });

  it.each([
    ['of another issuer', { sub: 'a' }, { issuer: 'other' }],
    ['for another audience', { sub: 'a' }, { audience: 'other' }],
    ['that has expired', { sub: 'a' }, { life: '-10s' }],
    ['without a subject', {}, {}],
    ['that speaks as one of our services', { sub: 'service:gateway' }, {}],
    ['with a subject that is no name', { sub: 'a\u0000b' }, {}],
  ])('refuses a token %s', async (_what, claims, more) => {
    const headers = { authorization: `Bearer ${await system.sign(claims, more)}` };
    const answer = await system.ask('GET', '/api/courses', { headers });
    expectProblem(answer, 401, 'TOKEN_INVALID');
    expect(answer.headers.get('www-authenticate')).toContain('invalid_token');
  });

  it('refuses a token that was tampered with, and one that is none', async () => {
    const token = await system.sign({ sub: 'a', roles: [] });
    const [head, , signature] = token.split('.');
    const claims = Buffer.from(JSON.stringify({ sub: 'a', roles: ['admin'] })).toString('base64url');
    for (const bad of [`${head}.${claims}.${signature}`, 'x', 'a.b.c']) {
      const answer = await system.ask('GET', '/api/courses', { headers: { authorization: `Bearer ${bad}` } });
      expectProblem(answer, 401, 'TOKEN_INVALID');
    }
  });

  it('takes a token that ran out four seconds ago: clocks differ', async () => {
    const headers = { authorization: `Bearer ${await system.sign({ sub: 'a' }, { life: '-4s' })}` };
    expect((await system.ask('GET', '/api/courses', { headers })).status).toBe(200);
  });
});

describe('HTTP', () => {
  it('answers unknown paths, other methods and broken escapes with problems', async () => {
    expectProblem(await system.ask('GET', '/nowhere', { as: 'owner' }), 404, 'ROUTE_NOT_FOUND');
    expectProblem(await system.ask('GET', '/api/nowhere', { as: 'owner' }), 404, 'ROUTE_NOT_FOUND');
    expectProblem(await system.ask('GET', '/api/courses/%zz', { as: 'owner' }), 400, 'PATH_INVALID');
    const answer = await system.ask('DELETE', '/api/courses', { as: 'owner' });
    expectProblem(answer, 405, 'METHOD_NOT_ALLOWED');
    expect(answer.headers.get('allow')).toBe('GET, POST, HEAD, OPTIONS');
  });

  it('answers what its parser refuses with problems, too', async () => {
    const malformed = await sendRaw('GARBAGE\r\n\r\n');
    expect(malformed).toMatch(/^HTTP\/1.1 400 [^]*application\/problem\+json[^]*HTTP_MALFORMED/);
    const large = await sendRaw(`GET /api/courses HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(large).toMatch(/^HTTP\/1.1 431 [^]*application\/problem\+json[^]*HEADERS_TOO_LARGE/);
  });

  it('keeps a harmless request id and replaces another', async () => {
    const kept = await system.ask('GET', '/livez', { headers: { 'x-request-id': 'mine-1' } });
    expect(kept.headers.get('x-request-id')).toBe('mine-1');
    const replaced = await system.ask('GET', '/livez', { headers: { 'x-request-id': 'a b"<' } });
    expect(replaced.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('sends headers that keep browsers from guessing, and does not name its software', async () => {
    const { headers } = await system.ask('GET', '/api/openapi.json');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('x-powered-by')).toBeNull();
  });

  it('answers HEAD as GET without a body', async () => {
    const answer = await system.ask('HEAD', `/api/courses/${courseId}`, { as: 'owner' });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect(answer.headers.get('etag')).toMatch(/^"/);
  });

  it('is live, ready and measured by route, never by id; and measured for operators alone', async () => {
    await system.ask('GET', `/api/courses/${courseId}`, { as: 'owner' });
    expect((await system.ask('GET', '/livez')).body).toEqual({ status: 'live' });
    expect((await system.ask('GET', '/readyz')).status).toBe(200);
    expectProblem(await system.ask('GET', '/metrics'), 404, 'ROUTE_NOT_FOUND');
    const ops = `http://127.0.0.1:${system.gateway.ops.port()}`;
    for (const path of ['livez', 'readyz']) expect((await fetch(`${ops}/${path}`)).status).toBe(200);
    const text = await (await fetch(`${ops}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith('http_server_request_duration_seconds_count'));
    expect(lines.some((line) => line.includes('route="/courses/{id}"') && line.includes('status="200"'))).toBe(true);
    expect(text.includes(courseId)).toBe(false);
  });
});

describe('bodies', () => {
  const post = (how: object) => system.ask('POST', '/api/courses', { as: 'owner', roles: ['author'], ...how });

  it('refuses unknown fields, each with its pointer', async () => {
    const answer = await post({ json: { title: 'A', 'a/b': 1, extra: {} } });
    expectProblem(answer, 400, 'INVALID_REQUEST');
    expect(answer.body.errors.map(({ pointer, code }: { pointer: string; code: string }) => [pointer, code])).toEqual([
      ['/a~1b', 'unknown_field'],
      ['/extra', 'unknown_field'],
    ]);
  });

  it('names everything that is wrong at once: first of path and query, then of the body', async () => {
    const pointers = (answer: Answer): string[] => {
      expectProblem(answer, 400, 'INVALID_REQUEST');
      return answer.body.errors.map(({ pointer }: { pointer: string }) => pointer);
    };
    const how = { as: 'owner', ifMatch: '*', json: { position: -1, title: '', more: 1 } };
    const first = await system.ask('PATCH', '/api/nodes/1?color=red&branch=', how);
    expect(pointers(first)).toEqual(['/path/id', '/query/branch', '/query/color']);
    const second = new Set(pointers(await system.ask('PATCH', `/api/nodes/${courseId}`, how)));
    expect(second).toEqual(new Set(['/title', '/position', '/more']));
  });

  it.each([
    ['malformed JSON', { raw: '{"title":', headers: { 'content-type': 'application/json' } }, 400, 'MALFORMED_JSON'],
    [
      'bytes that are no UTF-8',
      { raw: Buffer.from([0x22, 0xff, 0x22]), headers: { 'content-type': 'application/json' } },
      400,
      'MALFORMED_JSON',
    ],
    ['no body', {}, 400, 'BODY_MISSING'],
    [
      'another type',
      { raw: 'title=A', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    [
      'another charset',
      { raw: '{}', headers: { 'content-type': 'application/json; charset=latin1' } },
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    [
      'a content coding',
      { raw: '{}', headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } },
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    ['too much', { json: { title: 'x'.repeat(300_000) } }, 413, 'BODY_TOO_LARGE'],
    [
      'too deep a nest',
      { raw: '['.repeat(100_000) + ']'.repeat(100_000), headers: { 'content-type': 'application/json' } },
      400,
      'INVALID_REQUEST',
    ],
    ['more values than may be walked', { json: { title: 'A', tags: Array(11_000).fill(1) } }, 400, 'INVALID_REQUEST'],
    ['NUL', { json: { title: 'a\u0000b' } }, 400, 'INVALID_REQUEST'],
    [
      'half a surrogate pair',
      { raw: '{"title":"\\ud800"}', headers: { 'content-type': 'application/json' } },
      400,
      'INVALID_REQUEST',
    ],
    [
      '__proto__',
      { raw: '{"title":"A","__proto__":{"admin":true}}', headers: { 'content-type': 'application/json' } },
      400,
      'INVALID_REQUEST',
    ],
    ['a blank title', { json: { title: '  ' } }, 400, 'INVALID_REQUEST'],
  ])('refuses %s', async (_what, how, status, reason) => {
    expectProblem(await post(how), status, reason);
  });

  it('refuses a body where none belongs', async () => {
    const answer = await system.ask('POST', `/api/courses/${courseId}/restore`, {
      as: 'root',
      roles: ['admin'],
      json: {},
    });
    expectProblem(answer, 400, 'BODY_NOT_EXPECTED');
  });
});

describe('queries and paths', () => {
  it.each([
    ['an unknown name', 'colour=red', '/query/colour'],
    ['a repeated name', 'topic=a&topic=b', '/query/topic'],
    ['NUL', 'topic=%00', '/query/topic'],
    ['bytes that are no UTF-8', 'topic=%ff', '/query'],
    ['a limit over 200', 'limit=201', '/query/limit'],
    ['a limit of 0', 'limit=0', '/query/limit'],
    ['a limit in words', 'limit=ten', '/query/limit'],
    ['an unknown level', 'level=Z9', '/query/level'],
    ['a complaint of the service behind', 'sort=relevance', '/query/sort'],
  ])('refuses %s', async (_what, query, pointer) => {
    const answer = await system.ask('GET', `/api/courses?${query}`, { as: 'owner' });
    expect(answer.status).toBe(400);
    expect(answer.body.errors[0].pointer).toBe(pointer);
  });

  it('refuses what is no id, and NUL in a path', async () => {
    expectProblem(await system.ask('GET', '/api/courses/1', { as: 'owner' }), 400, 'INVALID_REQUEST');
    expectProblem(
      await system.ask('GET', `/api/courses/${courseId}/branches/a%00`, { as: 'owner' }),
      400,
      'INVALID_REQUEST',
    );
  });
});

describe('cursors', () => {
  const list = (query: string) => system.ask('GET', `/api/courses?${query}`, { as: 'lister' });
  beforeAll(() => {
    for (let i = 0; i < 5; i++) system.catalog.add('lister', { title: `Course ${i}` });
  });

  it('walks a list to its end', async () => {
    const ids = new Set<string>();
    let next = '';
    do {
      const page = await list(`limit=2&topic=Law${next && `&cursor=${encodeURIComponent(next)}`}`);
      expect(page.status).toBe(200);
      for (const { id } of page.body.items) ids.add(id);
      next = page.body.next;
    } while (next !== null);
    expect(ids.size).toBe(5);
  });

  it('takes a cursor on no other list, from no other hand, and not when broken', async () => {
    const { body } = await list('limit=2&topic=Law');
    const cursor = String(body.next);
    const other = await list(`limit=2&topic=Art&cursor=${cursor}`);
    expectProblem(other, 400, 'CURSOR_INVALID');
    const forged = `${cursor.slice(0, -1)}${cursor.endsWith('A') ? 'Q' : 'A'}`;
    for (const bad of [forged, 'x', '.', cursor.slice(0, -2), `${cursor}AAAA`])
      expectProblem(await list(`limit=2&topic=Law&cursor=${bad}`), 400, 'CURSOR_INVALID');
  });
});

describe('overload', () => {
  it('sheds what is over the limit with Retry-After', async () => {
    const small = await startSystem({ inFlight: 1 });
    try {
      const answers = await Promise.all(Array.from({ length: 8 }, () => small.ask('GET', '/api/courses', { as: 'a' })));
      const shed = answers.filter(({ status }) => status === 503);
      expect(shed.length).toBeGreaterThan(0);
      expectProblem(shed[0]!, 503, 'OVERLOADED');
      expect(shed[0]!.headers.get('retry-after')).toBe('1');
      expect((await small.ask('GET', '/livez')).status).toBe(200);
    } finally {
      await small.stop();
    }
  });
});

describe('services that are away', () => {
  it('answers 503 with Retry-After, and a course page without review', async () => {
    const partial = await startSystem();
    try {
      const own = seedCourse(partial);
      await partial.servers[3]!.server.stop(0);
      const page = await partial.ask('GET', `/api/courses/${own.courseId}`, { as: 'owner' });
      expect([page.status, page.body.status]).toEqual([200, 'draft']);
      await partial.servers[2]!.server.stop(0);
      const answer = await partial.ask('GET', `/api/courses/${own.courseId}/outline`, { as: 'owner' });
      expectProblem(answer, 503, 'SERVICE_UNAVAILABLE');
      // Nothing was to be done.
      expect(answer.body.detail).toBe('Not available at the moment');
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect((await partial.ask('GET', '/readyz')).status).toBe(200);
    } finally {
      await partial.stop();
    }
  });

  it('says of a write that took too long that it may have been done, and how to learn', async () => {
    const own = await startSystem();
    try {
      own.content.refusal = new AppError('deadline_exceeded', 'DEADLINE_EXCEEDED');
      const send = (headers: Record<string, string>) =>
        own.ask('POST', '/api/imports?format=olx', {
          as: 'author',
          roles: ['author'],
          raw: Buffer.from([0x1f, 0x8b, 1]),
          headers: { 'content-type': 'application/gzip', ...headers },
        });
      const [keyed, bare] = [await send({ 'idempotency-key': newId() }), await send({})];
      for (const answer of [keyed, bare]) {
        expectProblem(answer, 503, 'DEADLINE_EXCEEDED');
        expect(answer.headers.get('retry-after')).toBe('1');
      }
      expect(keyed.body.detail).toMatch(/may have been done: repeat it with the same Idempotency-Key/);
      expect(bare.body.detail).toMatch(/^It took too long\. The write may have been done: look before you repeat it/);
      own.content.refusal = new AppError('insufficient_storage', 'STORAGE_FULL');
      expect((await send({})).body.detail).not.toMatch(/may have been done/);
    } finally {
      await own.stop();
    }
  });

  it('says 404 of a course that nobody has', async () => {
    expectProblem(await system.ask('GET', `/api/courses/${newId()}`, { as: 'owner' }), 404, 'COURSE_NOT_FOUND');
    expectProblem(await system.ask('GET', `/api/nodes/${newId()}`, { as: 'owner' }), 404, 'NODE_NOT_FOUND');
  });
});
