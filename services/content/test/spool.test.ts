import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isId, newId } from '@coursewright/platform/ids';
import { createSpool } from '../src/store/spool.js';
import { tarOf, zipOf } from './support.js';

const LIMITS = { entries: 100, names: 100_000, fileBytes: 20_000_000, totalBytes: 40_000_000, ratio: 100 };

describe('archives on disk', () => {
  let folder = '';
  let spool = createSpool('');
  const open = async (bytes: Buffer, mediaType = 'application/gzip', limits = LIMITS) => {
    const id = newId();
    await spool.write(id, toStream(bytes), 1e9);
    return spool.open({ id, token: 1 }, mediaType, limits);
  };
  async function* toStream(bytes: Buffer): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cw-spool-'));
    spool = createSpool(folder);
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('unpacks tar.gz and zip alike', async () => {
    const files = { 'a.xml': '<a/>', 'b/c.html': 'é'.repeat(5000), empty: '' };
    for (const [mediaType, bytes] of [
      ['application/gzip', await tarOf(Object.entries(files))],
      ['application/zip', zipOf(files)],
    ] as const) {
      const archive = await open(bytes, mediaType);
      expect([...archive.paths]).toEqual(['a.xml', 'b/c.html', 'empty']);
      for (const [path, text] of Object.entries(files))
        expect(Buffer.from((await archive.read(path)) ?? 'x').toString()).toBe(text);
      expect([await archive.read('nowhere'), archive.size('nowhere')]).toEqual([undefined, undefined]);
      await archive.close();
    }
  });

  it('lists links and doubles, and never writes a name of the archive to the disk', async () => {
    const archive = await open(
      await tarOf([
        ['a', '1'],
        ['link', { link: '/etc/passwd' }],
        ['a', '2'],
      ]),
    );
    expect([...archive.skipped].map(({ source, kept }) => [source, kept])).toEqual([
      ['link', false],
      ['a', false],
    ]);
    expect(Buffer.from((await archive.read('a')) ?? '').toString()).toBe('2');
    await archive.close();
    expect((await readdir(folder)).every((name) => /^[0-9a-f-]{36}\.archive$/.test(name))).toBe(true);
  });

  it.each([
    ['ARCHIVE_UNSAFE', () => tarOf([['../../etc/cron.d/x', 'x']])],
    ['ARCHIVE_UNSAFE', () => tarOf([['/etc/x', 'x']])],
    ['ARCHIVE_TOO_LARGE', () => tarOf(Array.from({ length: 101 }, (_, i) => [`f${i}`, ''] as const))],
    ['ARCHIVE_TOO_LARGE', () => tarOf([['zeros', '\0'.repeat(15_000_000)]])],
    ['ARCHIVE_TOO_LARGE', () => Promise.resolve(gzipSync(Buffer.alloc(60_000_000)))],
    ['ARCHIVE_BROKEN', () => Promise.resolve(gzipSync(randomBytes(5000)))],
    ['ARCHIVE_BROKEN', async () => (await tarOf([['a', 'x'.repeat(50_000)]])).subarray(0, 100)],
    ['ARCHIVE_BROKEN', () => Promise.resolve(Buffer.from([0x1f, 0x8b, 1, 2, 3]))],
  ])('%s: refuses what is hostile or broken (%#)', async (reason, make) => {
    await expect(make().then((bytes) => open(bytes))).rejects.toMatchObject({ kind: 'unprocessable', reason });
    expect((await readdir(folder)).filter((name) => name.endsWith('.unpacked'))).toEqual([]);
  });

  it('refuses hostile and broken zips', async () => {
    const zip = zipOf({ 'a.xml': 'x' });
    await expect(open(zip.subarray(0, -10), 'application/zip')).rejects.toMatchObject({ reason: 'ARCHIVE_BROKEN' });
    const evil = Buffer.from(zipOf({ 'aa/x.xml': 'x' }).toString('latin1').replaceAll('aa/x', '../x'), 'latin1');
    await expect(open(evil, 'application/zip')).rejects.toMatchObject({
      kind: 'unprocessable',
      reason: expect.stringMatching(/UNSAFE|BROKEN/),
    });
  });

  it('takes no more bytes than allowed, and leaves nothing behind', async () => {
    const id = newId();
    await expect(spool.write(id, toStream(Buffer.alloc(5000)), 4000)).rejects.toMatchObject({
      kind: 'too_large',
      reason: 'ARCHIVE_TOO_LARGE',
    });
    expect((await spool.list(0)).map((file) => file.id)).not.toContain(id);
    await expect(spool.open({ id, token: 1 }, 'application/gzip', LIMITS)).rejects.toMatchObject({
      reason: 'ARCHIVE_LOST',
    });
  });

  it('leaves out names that no file of a course has, and says so, in a tar and in a zip', async () => {
    const odd = ['static/Icon\r', 'a\u0007b', `deep/${'d/'.repeat(40)}x`];
    const tar = await open(
      await tarOf([...odd.map((name) => [name, 'odd'] as const), ['course.xml', 'x']]),
      'application/gzip',
    );
    const zip = await open(
      zipOf({ ...Object.fromEntries(odd.map((name) => [name, 'odd'])), 'course.xml': 'x' }),
      'application/zip',
    );
    for (const archive of [tar, zip]) {
      expect([...archive.paths]).toEqual(['course.xml']);
      expect([...archive.skipped].map(({ source }) => source)).toEqual(odd.map((name) => JSON.stringify(name)));
      await archive.close();
    }
  });

  it('gives a file piece by piece, the same bytes as at once', async () => {
    const bytes = randomBytes(700_000).toString('latin1');
    const archive = await open(
      await tarOf([
        ['a', bytes],
        ['b', 'x'],
      ]),
      'application/gzip',
    );
    const pieces: Uint8Array[] = [];
    for await (const piece of archive.stream('a')) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(2);
    expect(Buffer.concat(pieces).equals(Buffer.from((await archive.read('a')) ?? []))).toBe(true);
    for await (const piece of archive.stream('gone')) expect(piece).toBe('nothing');
    await archive.close();
  });

  it('refuses names that are more than memory has room for', async () => {
    const names = Array.from({ length: 40 }, (_, i) => [`${i}${'x'.repeat(90)}`, ''] as const);
    await expect(open(await tarOf(names), 'application/gzip', { ...LIMITS, names: 3000 })).rejects.toMatchObject({
      reason: 'ARCHIVE_TOO_LARGE',
      message: 'the archive has more than 3000 characters of names',
    });
  });

  it('have one id for all processes that see the disk, even if they look at it for the first time at once', async () => {
    for (let round = 0; round < 20; round++) {
      const disk = await mkdtemp(join(folder, 'disk-'));
      const ids = await Promise.all(Array.from({ length: 8 }, () => createSpool(disk).id()));
      expect(new Set(ids).size).toBe(1);
      expect(isId(ids[0] ?? '')).toBe(true);
      expect(await readdir(disk)).toEqual(['spool-id']);
      await rm(disk, { recursive: true });
    }
  });

  it('have their own name until they are whole, and show how old they are', async () => {
    const disk = await mkdtemp(join(folder, 'parts-'));
    const own = createSpool(disk);
    const id = newId();
    let seen: string[] = [];
    async function* slowly(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first');
      seen = await readdir(disk);
      yield Buffer.from('second');
    }
    const { size, sha256 } = await own.write(id, slowly(), 1e9);
    expect(seen).toEqual([`${id}.part`]);
    expect([size, sha256]).toEqual([11, 'da83f63e1a473003712c18f5afc5a79044221943d1083c7c5a7ac7236d85e8d2']);
    expect(await readdir(disk)).toEqual([`${id}.archive`]);
    await writeFile(join(disk, 'other.part'), 'x');
    await utimes(join(disk, 'other.part'), new Date(), new Date(Date.now() - 3_600_001));
    expect(await own.list(3_600_000)).toEqual([{ id: 'other', name: 'other.part', isArchive: false }]);
    await own.removeFile('other.part');
    expect(await own.list(0)).toEqual([{ id, name: `${id}.archive`, isArchive: true }]);
  });

  it('are unpacked by two attempts at once without meeting each other', async () => {
    const id = newId();
    await spool.write(id, toStream(await tarOf([['a', 'A'.repeat(100_000)]])), 1e9);
    const [first, second] = await Promise.all([
      spool.open({ id, token: 1 }, 'application/gzip', LIMITS),
      spool.open({ id, token: 2 }, 'application/gzip', LIMITS),
    ]);
    await first.close();
    expect((await second.read('a'))?.length).toBe(100_000);
    await second.close();
    expect((await readdir(folder)).filter((name) => name.includes('unpacked'))).toEqual([]);
  });
});

/** A file system of so many bytes, or why there can be none. */
async function smallDisk(bytes: number): Promise<{ folder: string } | { why: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'cw-small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder], { stdio: 'pipe' });
    return { folder };
  } catch (error) {
    await rm(folder, { recursive: true });
    return { why: String(error) };
  }
}

describe('a disk that is full', () => {
  const full = { kind: 'insufficient_storage', reason: 'STORAGE_FULL', details: { retryAfterSeconds: 30 } };
  async function* random(bytes: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes; at += 64 * 1024) yield randomBytes(64 * 1024);
  }

  it('refuses an upload with a reason and leaves nothing behind; an archive is unpacked as soon as there is room', async () => {
    const disk = await smallDisk(2 * 1024 * 1024);
    if ('why' in disk) {
      console.warn(`skipped: no small file system can be mounted here: ${disk.why}`);
      return;
    }
    try {
      const spool = createSpool(join(disk.folder, 'imports'));
      await expect(spool.write(newId(), random(3 * 1024 * 1024), 1e9)).rejects.toMatchObject(full);
      expect(await spool.list(0)).toEqual([]);

      const id = newId();
      const bytes = await tarOf([['a', 'x'.repeat(3_000_000)]]);
      async function* whole(): AsyncGenerator<Uint8Array> {
        yield bytes;
      }
      await spool.write(id, whole(), 1e9);
      const attempt = { id, token: 1 };
      await expect(spool.open(attempt, 'application/gzip', { ...LIMITS, ratio: 1e6 })).rejects.toMatchObject(full);
      expect((await spool.list(0)).map(({ name }) => name)).toEqual([`${id}.archive`]);
      execFileSync('mount', ['-o', `remount,size=${8 * 1024 * 1024}`, disk.folder]);
      const archive = await spool.open(attempt, 'application/gzip', { ...LIMITS, ratio: 1e6 });
      expect((await archive.read('a'))?.length).toBe(3_000_000);
      await archive.close();
    } finally {
      execFileSync('umount', ['-l', disk.folder]);
      await rm(disk.folder, { recursive: true, force: true });
    }
  });
});
