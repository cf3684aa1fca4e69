import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chooseBlock, chooseGatewayPort, isFree, portNames, portsOf } from '../lib/ports.mjs';

let folder;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'ports-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const allFree = async () => true;

describe('ports', () => {
  it('lie side by side between 20000 and 29999, wherever chance falls', async () => {
    for (const random of [() => 0, () => 0.5, () => 0.9999999]) {
      const ports = Object.values(await chooseBlock(portNames, { free: allFree, random }));
      expect(ports).toEqual(portNames.map((_, index) => ports[0] + index));
      expect(ports[0]).toBeGreaterThanOrEqual(20_000);
      expect(ports.at(-1)).toBeLessThanOrEqual(29_999);
    }
  });

  it('are chosen from a block in which none is taken', async () => {
    const draws = [0, 0.5];
    const taken = 20_003;
    const ports = await chooseBlock(portNames, { free: async (port) => port !== taken, random: () => draws.shift() });
    expect(Object.values(ports)).not.toContain(taken);
    expect(draws).toEqual([]);
  });

  it('are refused with a clear error when nothing is free', async () => {
    await expect(chooseBlock(portNames, { free: async () => false })).rejects.toThrow('no 16 free ports');
  });

  it('stay the same from start to start, in a file for the owner alone', async () => {
    const file = join(folder, 'ports.json');
    const first = await portsOf(file, { free: allFree });
    expect(await portsOf(file, { free: allFree })).toEqual(first);
    expect(first.gateway).toBe(8080);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('of further replicas are chosen once and kept, also while they do not run, and lie beside no other', async () => {
    const file = join(folder, 'ports.json');
    const draws = [0.1, 0.1, 0.2];
    const options = { free: allFree, random: () => draws.shift() };
    const single = await portsOf(file, options);
    const two = await portsOf(file, { ...options, replicas: 2 });
    expect(two).toMatchObject(single);
    expect(two).toMatchObject({ 'catalog-2': expect.any(Number), 'deployment-2-ops': expect.any(Number) });
    expect(new Set(Object.values(two)).size).toBe(Object.keys(two).length);
    expect(await portsOf(file, options)).toEqual(single);
    expect(await portsOf(file, { ...options, replicas: 2 })).toEqual(two);
    expect(draws).toEqual([]);
  });

  it('are given up for others when a neighbour has taken one of them', async () => {
    const file = join(folder, 'ports.json');
    const first = await portsOf(file, { free: allFree, random: () => 0.1 });
    const second = await portsOf(file, { free: async (port) => port !== first.redis, random: () => 0.7 });
    expect(Object.values(second)).not.toContain(first.redis);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(second);
  });

  it('are chosen anew when the file was cut short', async () => {
    const file = join(folder, 'ports.json');
    writeFileSync(file, '{"redis": 2');
    expect((await portsOf(file, { free: allFree })).redis).toBeGreaterThan(20_000);
  });

  it('of the gateway go on from 8080, unless one is remembered and free', async () => {
    expect(await chooseGatewayPort(undefined, { free: async (port) => port !== 8080 })).toBe(8081);
    expect(await chooseGatewayPort(8090, { free: allFree })).toBe(8090);
    expect(await chooseGatewayPort(8090, { free: async (port) => port !== 8090 })).toBe(8080);
  });

  it.each(['127.0.0.1', '0.0.0.0'])('count as taken while somebody listens on %s', async (host) => {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, host, resolve));
    const { port } = server.address();
    expect(await isFree(port)).toBe(false);
    await new Promise((resolve) => server.close(resolve));
    expect(await isFree(port)).toBe(true);
  });
});
