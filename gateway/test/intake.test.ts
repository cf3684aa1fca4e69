import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@coursewright/platform/testing/eventually';
import { seedCourse, startSystem, type System } from './support/system.js';
import { headOf, openWire, type Wire } from './support/wire.js';

let system: System;
let courseId: string;
let lessonId: string;
const json = 'application/json';
beforeAll(async () => {
  system = await startSystem();
  ({ courseId } = seedCourse(system));
  const add = async (path: string): Promise<string> =>
    String((await system.ask('POST', `/api${path}`, { as: 'owner', json: { title: 'T' } })).body.id);
  const unit = await add(`/courses/${courseId}/units`);
  const module = await add(`/units/${unit}/modules`);
  lessonId = await add(`/modules/${module}/lessons`);
  const repository = system.versioning.repository(courseId);
  repository.published = repository.branches.get('main')!;
});
afterAll(() => system.stop());

async function putHead(as: string, headers: Record<string, string | number> = {}): Promise<string> {
  return headOf(`PUT /api/lessons/${lessonId}/content`, {
    authorization: `Bearer ${await system.tokenOf(as, [])}`,
    'content-type': json,
    'if-match': '*',
    'content-length': 1000,
    ...headers,
  });
}

/** The slowest of some reads by somebody else, while something goes on. */
async function slowestRead(reads: number): Promise<number> {
  let slowest = 0;
  for (let n = 0; n < reads; n++) {
    const began = performance.now();
    const answer = await system.ask('GET', `/api/courses/${courseId}`, { as: 'reviewer' });
    expect(answer.status).toBe(200);
    slowest = Math.max(slowest, performance.now() - began);
  }
  return slowest;
}

async function crowd(size: number, text: string): Promise<Wire[]> {
  const wires = Array.from({ length: size }, () => openWire(system));
  await Promise.all(wires.map(({ socket }) => new Promise((resolve) => socket.once('connect', resolve))));
  for (const wire of wires) wire.send(text);
  return wires;
}

const leave = (wires: readonly Wire[]): void => wires.forEach(({ socket }) => socket.destroy());

describe('530 connections of one person, each with one byte of a thousand', () => {
  it.each([
    // Over his share before it is known what he may do: 429.
    ['who may not write', 'learner', [403, 429]],
    ['whom nobody knows', 'no token at all', [401]],
  ])('%s are refused at once, and nobody else waits', async (_who, as, statuses) => {
    const head = as === 'learner' ? await putHead(as) : await putHead(as, { authorization: 'Bearer x' });
    const wires = await crowd(530, `${head}{`);
    expect(await slowestRead(20)).toBeLessThan(3_000);
    const answers = await Promise.all(wires.map((wire) => wire.status));
    expect(answers.filter((status) => !statuses.includes(status))).toEqual([]);
    expect(answers).toContain(statuses[0]);
    leave(wires);
  });

  it('who may write: he has his share and no more, his slow bodies end soon, and nobody else waits', async () => {
    const wires = await crowd(530, `${await putHead('author')}{`);
    expect(await slowestRead(20)).toBeLessThan(3_000);
    const saved = await system.ask('PUT', `/api/lessons/${lessonId}/content`, {
      as: 'owner',
      ifMatch: '*',
      json: { order: [] },
    });
    expect(saved.status).toBe(200);
    const began = performance.now();
    const answers = await Promise.all(wires.map((wire) => wire.status));
    expect(performance.now() - began).toBeLessThan(12_000);
    expect([429, 408].map((status) => answers.filter((one) => one === status).length)).toEqual([402, 128]);
    const refused = wires.find((wire) => wire.text().startsWith('HTTP/1.1 429'))!.text();
    expect(refused).toMatch(/retry-after: 1\r\n/i);
    expect(refused).toContain('"reason":"TOO_MANY_REQUESTS"');
    leave(wires);
  }, 20_000);
});

describe('a body', () => {
  it('is not asked for before its sender may do what he wants', async () => {
    const refused = openWire(system);
    refused.send(await putHead('learner', { expect: '100-continue' }));
    expect(await refused.status).toBe(403);
    expect(refused.text()).not.toContain('100 Continue');
    const let_in = openWire(system);
    let_in.send(await putHead('author', { expect: '100-continue', 'content-length': 2 }));
    await eventually(() => expect(let_in.text()).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\n$/));
    let_in.send('{}');
    expect(await let_in.status).toBe(200);
    leave([refused, let_in]);
  });

  it.each([
    ['a missing If-Match', 'author', { 'if-match': undefined }, '428 IF_MATCH_REQUIRED'],
    ['another media type', 'author', { 'content-type': 'text/plain' }, '415 MEDIA_TYPE_UNSUPPORTED'],
    ['too many bytes', 'author', { 'content-length': 2 ** 21 }, '413 BODY_TOO_LARGE'],
    ['a key that is none', 'author', { 'idempotency-key': 'a b' }, '400 INVALID_REQUEST'],
    ['an If-Match that is none', 'author', { 'if-match': 'x' }, '400 INVALID_REQUEST'],
    ['a key and no right', 'learner', { 'idempotency-key': 'never-used' }, '403 FORBIDDEN'],
  ])('is not waited for after %s', async (_what, as, changes, refusal) => {
    const wire = openWire(system);
    wire.send((await putHead(as, changes as Record<string, string>)).replace(/^.*: undefined\r\n/m, ''));
    const [status, reason] = refusal.split(' ');
    expect(await wire.status).toBe(Number(status));
    expect(wire.text()).toContain(`"reason":"${reason}"`);
    leave([wire]);
  });

  it('is not waited for in a course that its sender may not know', async () => {
    const wire = openWire(system);
    const { courseId: unknown } = seedCourse(system, 'somebody');
    const headers = { authorization: `Bearer ${await system.tokenOf('other', [])}`, 'content-type': json };
    wire.send(headOf(`PUT /api/courses/${unknown}`, { ...headers, 'content-length': 1000, 'if-match': '*' }));
    expect(await wire.status).toBe(404);
    expect(wire.text()).toContain('"reason":"COURSE_NOT_FOUND"');
    leave([wire]);
  });

  it('that comes a byte at a time is given up within seconds', async () => {
    const wire = openWire(system);
    wire.send(await putHead('author'));
    const drip = setInterval(() => wire.send('{'), 100);
    const began = performance.now();
    expect(await wire.status).toBe(408);
    clearInterval(drip);
    expect(performance.now() - began).toBeGreaterThan(3_000);
    expect(performance.now() - began).toBeLessThan(12_000);
    expect(wire.text()).toContain('"reason":"REQUEST_TIMEOUT"');
    leave([wire]);
  }, 15_000);

  it('that comes slowly but steadily is taken', async () => {
    const body = Buffer.from(JSON.stringify({ materials: [{ type: 'text/markdown', content: 'x'.repeat(300_000) }] }));
    const wire = openWire(system);
    wire.send(await putHead('author', { 'content-length': body.length }));
    for (let at = 0; at < body.length; at += 30_000) {
      await new Promise((resolve) => setTimeout(resolve, 600));
      wire.send(body.subarray(at, at + 30_000));
    }
    expect(await wire.status).toBe(200);
    leave([wire]);
  }, 20_000);

  it('counts as the bytes that were announced: nobody holds more than his share of them', async () => {
    const wires = await crowd(40, `${await putHead('author', { 'content-length': 2 ** 20 })}{`);
    const refused = await eventually(() => {
      const texts = wires.map((wire) => wire.text()).filter((text) => text !== '');
      expect(texts).toHaveLength(24);
      return texts;
    });
    for (const text of refused) expect(text).toMatch(/^HTTP\/1.1 429 /);
    leave(wires);
    await eventually(async () => {
      const again = { as: 'author', ifMatch: '*', json: { materials: ['x'.repeat(2 ** 20 - 30)] } };
      expect((await system.ask('PUT', `/api/lessons/${lessonId}/content`, again)).status).toBe(400);
    });
  });
});

describe('half-sent headers', () => {
  it('are given up within seconds, and shut nobody out', async () => {
    const began = performance.now();
    const wires = await crowd(600, 'GET /api/courses HTTP/1.1\r\nHost: a\r\nX-Half: ');
    expect(await slowestRead(20)).toBeLessThan(3_000);
    const texts = await Promise.all(wires.map((wire) => wire.closed));
    expect(performance.now() - began).toBeLessThan(10_000);
    for (const text of texts) expect(text).toMatch(/^HTTP\/1.1 408 [^]*REQUEST_TIMEOUT/);
  }, 30_000);
});

describe('an expectation', () => {
  it('that nobody can fulfil is refused with a problem', async () => {
    const wire = openWire(system);
    wire.send(headOf('GET /api/courses', { expect: 'tea', connection: 'close' }));
    const text = await wire.closed;
    expect(text).toMatch(/^HTTP\/1.1 417 /);
    expect(text).toContain('application/problem+json');
    expect(text).toContain('"reason":"EXPECTATION_FAILED"');
    expect(text).toMatch(/x-content-type-options: nosniff/i);
  });
});

describe('an upload that is refused while it is being sent', () => {
  const bytes = Buffer.alloc(30 * 2 ** 20, 1);
  /** Sends as many clients do: reads nothing before all is written. */
  const upload = (authorization: string, announced: boolean): Promise<string> =>
    new Promise((resolve) => {
      const wire = openWire(system);
      const framing: Record<string, string | number> = announced
        ? { 'content-length': bytes.length }
        : { 'transfer-encoding': 'chunked' };
      wire.send(
        headOf('POST /api/imports?format=olx', { authorization, 'content-type': 'application/gzip', ...framing }),
      );
      wire.socket.pause();
      wire.socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      if (!announced) wire.send(`${bytes.length.toString(16)}\r\n`);
      wire.socket.write(bytes, () => wire.socket.resume());
      if (!announced) wire.send('\r\n0\r\n\r\n');
      void wire.closed.then((text) => resolve(text.split('\r\n', 1)[0]!));
    });

  it.each([
    ['announced as too large', true, 200],
    ['found to be too large on the way', false, 20],
  ])(
    'when %s is answered with 413, each of many times',
    async (_when, announced, tries) => {
      const authorization = `Bearer ${await system.tokenOf('owner', ['author'])}`;
      const answers: string[] = [];
      for (let n = 0; n < tries; n++) answers.push(await upload(authorization, announced));
      expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 413 Payload Too Large']));
      expect(answers).toHaveLength(tries);
    },
    120_000,
  );
});
