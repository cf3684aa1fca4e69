import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '@coursewright/platform/ids';
import { eventually } from '@coursewright/platform/testing/eventually';
import { Import } from '@coursewright/proto/coursewright/content/v1/content';
import { seedCourse, startSystem, type Answer, type Ask, type System } from './support/system.js';

let system: System;
let courseId: string;
beforeAll(async () => {
  system = await startSystem();
  ({ courseId } = seedCourse(system));
});
afterAll(() => system.stop());

const owner = { as: 'owner', roles: ['author'] };
const ask = (method: string, path: string, how: Ask = {}): Promise<Answer> =>
  system.ask(method, `/api${path}`, { ...owner, ...how });

function addFile(name: string, type: string, bytes: Buffer, courses = [courseId]): string {
  const hash = createHash('sha256').update(bytes).digest('base64url');
  system.content.files.set(hash, { courses, name, type, bytes });
  return hash;
}

describe('B3 files', () => {
  it('are sent whole, under their type and name, and known again by their hash', async () => {
    const hash = addFile('übung "1".png', 'image/png', Buffer.alloc(5000, 7));
    const answer = await ask('GET', `/assets/${hash}`);
    expect(answer.status).toBe(200);
    expect(Buffer.byteLength(answer.text, 'latin1')).toBe(5000);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-length': '5000',
      etag: `"${hash}"`,
      'content-disposition': `inline; filename="_bung _1_.png"; filename*=UTF-8''%C3%BCbung%20%221%22.png`,
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
      'cache-control': 'private, no-cache',
    });
    const known = await ask('GET', `/assets/${hash}`, { headers: { 'if-none-match': `"${hash}"` } });
    expect([known.status, known.text]).toEqual([304, '']);
    const head = await ask('HEAD', `/assets/${hash}`);
    expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', '5000']);
  });

  it.each([
    ['page.html', 'text/html'],
    ['drawing.svg', 'image/svg+xml'],
    ['script.js', 'text/javascript'],
    ['data', 'application/octet-stream'],
  ])('that a browser might run are offered to be saved: %s', async (name, type) => {
    const hash = addFile(name, type, Buffer.from(`<script>${name}</script>`));
    expect((await ask('GET', `/assets/${hash}`)).headers.get('content-disposition')).toMatch(/^attachment;/);
  });

  it('are there for staff of a course that has them, and for nobody else', async () => {
    const other = seedCourse(system).courseId;
    const hash = addFile('a.txt', 'text/plain', Buffer.from('text'), [newId(), other, courseId]);
    expect((await ask('GET', `/assets/${hash}`)).text).toBe('text');
    expect((await ask('GET', `/assets/${hash}?course=${courseId}`)).text).toBe('text');
    const refused = [
      await ask('GET', `/assets/${hash}`, { as: 'stranger', roles: [] }),
      await ask('GET', `/assets/${hash}?course=${newId()}`),
      await ask('GET', `/assets/${'A'.repeat(43)}`),
    ];
    expect(refused.map(({ status, body }) => [status, body.reason])).toEqual([
      [404, 'ASSET_NOT_FOUND'],
      [404, 'ASSET_NOT_FOUND'],
      [404, 'ASSET_NOT_FOUND'],
    ]);
    expect((await ask('GET', '/assets/short')).body).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' });
  });

  it('that nobody wants are not held open: asked for by head alone, known already, or left in the middle', async () => {
    const hash = addFile('large.bin', 'application/octet-stream', Buffer.alloc(20_000_000));
    const isClosed = async (): Promise<void> => expect([...system.content.open]).toEqual([]);
    expect((await ask('GET', `/assets/${hash}`, { headers: { 'if-none-match': `"${hash}"` } })).status).toBe(304);
    await eventually(isClosed, 2_000);
    expect((await ask('HEAD', `/assets/${hash}`)).status).toBe(200);
    await eventually(isClosed, 2_000);
    const headers = { authorization: `Bearer ${await system.sign({ sub: 'owner', roles: ['author'] })}` };
    const answer = await fetch(`${system.origin}/api/assets/${hash}`, { headers });
    await answer.body?.cancel();
    await eventually(isClosed, 2_000);
  });

  it('that break off end the connection, so that nobody takes a part for the whole', async () => {
    const hash = addFile('a.bin', 'application/octet-stream', Buffer.alloc(5000));
    const file = system.content.files.get(hash)!;
    system.content.files.set(hash, { ...file, bytes: Object.assign(Buffer.from(file.bytes), { breaksAt: 3000 }) });
    await expect(ask('GET', `/assets/${hash}`)).rejects.toThrow();
  });
});

describe('B4 what became of an import', () => {
  function addImport(losses: number): string {
    const id = newId();
    const lines = Array.from({ length: losses }, (_, i) => ({ source: `static/${i}`, what: 'is kept', kept: true }));
    const job = {
      id,
      courseId,
      format: 'olx',
      state: 'done',
      startedBy: 'owner',
      losses: lines,
      startedAt: new Date(),
    };
    system.content.imports.set(id, Import.fromPartial({ ...job, lossCount: losses }));
    return id;
  }

  it('is listed line by line, in pages', async () => {
    const id = addImport(120);
    const sources: string[] = [];
    let next: string | null = '';
    while (next !== null) {
      const page: Answer = await ask('GET', `/imports/${id}/losses?limit=50${next === '' ? '' : `&cursor=${next}`}`);
      expect(page.status).toBe(200);
      sources.push(...page.body.items.map((loss: { source: string }) => loss.source));
      next = page.body.next;
    }
    expect(sources).toEqual(Array.from({ length: 120 }, (_, i) => `static/${i}`));
    const stranger = await ask('GET', `/imports/${id}/losses`, { as: 'stranger', roles: [] });
    expect(stranger.body.reason).toBe('IMPORT_NOT_FOUND');
  });

  it('names what is kept beside the course, files by their hash', async () => {
    const nothing = { attributes: {}, text: '', hash: '', bytes: 0, type: '' };
    system.content.kept = [
      { ...nothing, source: 'chapter/a', kind: 'attributes', attributes: { xqa_key: '1' } },
      { ...nothing, source: 'course/a/wiki', kind: 'element', text: '<wiki/>' },
      { ...nothing, source: 'about/overview.html', kind: 'file', hash: 'h', bytes: 3, type: 'text/html' },
    ];
    const page = await ask('GET', `/imports/${addImport(0)}/kept`);
    expect(page.body).toEqual({
      items: [
        { source: 'chapter/a', kind: 'attributes', attributes: { xqa_key: '1' } },
        { source: 'course/a/wiki', kind: 'element', text: '<wiki/>' },
        { source: 'about/overview.html', kind: 'file', hash: 'h', bytes: 3, type: 'text/html' },
      ],
      next: null,
    });
  });
});
