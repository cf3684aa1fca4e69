import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { createHash, randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createFiles } from '../src/store/files.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cw-files-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function* pieces(bytes: Buffer, size = 10_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

describe('files of courses', () => {
  it('are found by the hash of their bytes, and lie there once, whoever stores them', async () => {
    const bytes = randomBytes(600_000);
    const hash = createHash('sha256').update(bytes).digest('base64url');
    const stored = await Promise.all(
      Array.from({ length: 5 }, (_, i) => createFiles(folder).put(() => pieces(bytes, 1000 * (i + 1)))),
    );
    expect(stored).toEqual(Array.from({ length: 5 }, () => ({ hash, bytes: 600_000 })));
    expect(await readdir(join(folder, hash.slice(0, 2)))).toEqual([hash]);
    expect((await bytesOf(createFiles(folder).read(hash))).equals(bytes)).toBe(true);
    const empty = await createFiles(folder).put(() => pieces(Buffer.alloc(0)));
    expect(await bytesOf(createFiles(folder).read(empty.hash))).toHaveLength(0);
  });

  it('that were damaged never come out whole, and come back when they are stored again', async () => {
    const bytes = randomBytes(600_000);
    const { hash } = await createFiles(folder).put(() => pieces(bytes));
    const path = join(folder, hash.slice(0, 2), hash);
    const damaged = Buffer.from(bytes);
    damaged[5] = (damaged[5] ?? 0) ^ 1;
    await writeFile(path, damaged);
    const got: Uint8Array[] = [];
    const read = async (): Promise<void> => {
      for await (const chunk of createFiles(folder).read(hash)) got.push(chunk);
    };
    await expect(read()).rejects.toMatchObject({ reason: 'STORED_FILE_CORRUPT' });
    expect(Buffer.concat(got).length).toBeLessThan(bytes.length);
    for (const broken of [damaged, damaged.subarray(0, 100)]) {
      await writeFile(path, broken);
      await createFiles(folder).put(() => pieces(bytes));
      expect((await bytesOf(createFiles(folder).read(hash))).equals(bytes)).toBe(true);
    }
    await rm(path);
    await expect(read()).rejects.toMatchObject({ reason: 'STORED_FILE_MISSING' });
  });

  it('that a process did not finish are swept away after a while, and no other', async () => {
    const { hash } = await createFiles(folder).put(() => pieces(Buffer.from('whole')));
    const home = join(folder, hash.slice(0, 2));
    for (const name of ['old.part', 'new.part']) await writeFile(join(home, name), 'x');
    await utimes(join(home, 'old.part'), new Date(), new Date(Date.now() - 60_000));
    await createFiles(folder).sweep(30_000);
    expect((await readdir(home)).sort()).toEqual([hash, 'new.part'].sort());
    await rm(join(home, 'new.part'));
  });

  it('that break off leave nothing behind', async () => {
    const own = await mkdtemp(join(tmpdir(), 'cw-files-'));
    let reads = 0;
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      if (++reads > 1) throw new Error('the disk is gone');
    }
    await expect(createFiles(own).put(broken)).rejects.toThrow('the disk is gone');
    for (const home of await readdir(own)) expect(await readdir(join(own, home))).toEqual([]);
    await rm(own, { recursive: true });
  });
});
