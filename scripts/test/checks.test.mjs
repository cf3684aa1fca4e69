import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { count } from '../ci-result.mjs';
import { median, offences } from '../lib/checks/text.mjs';
import { addReports, parseArguments, planRuns } from '../lib/jest.mjs';
import { lockFaults, resolveIn } from '../lib/lock-check.mjs';
import { installed } from '../lib/packages.mjs';
import { postgresHello } from '../lib/ready.mjs';
import { addressIn } from '../lib/servers/external.mjs';
import { wording } from '../lib/servers/choose.mjs';
import { atLeast, oldest, versionIn } from '../lib/servers/versions.mjs';
import { duration } from '../lib/steps.mjs';
import { splitPath, tarOf } from '../lib/tar.mjs';
import { migrationsIn } from '../migrate.mjs';

let folder;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'checks-'))));
afterEach(() => rmSync(folder, { recursive: true }));

describe('the lock file', () => {
  const lock = (packages) => ({ packages: { '': {}, ...packages } });

  it('is at fault when an optional package of another platform has no entry', () => {
    const buf = { 'node_modules/buf': { optionalDependencies: { 'buf-mac': '1', 'buf-linux': '1' } } };
    expect(lockFaults(lock({ ...buf, 'node_modules/buf-linux': {} }))).toEqual([
      'node_modules/buf wants buf-mac, which has no entry',
    ]);
    expect(
      lockFaults(lock({ ...buf, 'node_modules/buf-linux': {}, 'node_modules/buf/node_modules/buf-mac': {} })),
    ).toEqual([]);
  });

  it('is at fault when it names the address of a registry', () => {
    expect(lockFaults(lock({ 'node_modules/a': { resolved: 'https://r.example/a.tgz' } }))).toHaveLength(1);
    expect(lockFaults(lock({ 'node_modules/a': { resolved: 'platform', link: true } }))).toEqual([]);
  });

  it('is searched as Node searches: from the package up to the root', () => {
    const packages = { 'node_modules/a/node_modules/b': {}, 'node_modules/b': {}, 'services/x/node_modules/c': {} };
    expect(resolveIn(packages, 'node_modules/a', 'b')).toBe('node_modules/a/node_modules/b');
    expect(resolveIn(packages, 'node_modules/c', 'b')).toBe('node_modules/b');
    expect(resolveIn(packages, 'services/x', 'c')).toBe('services/x/node_modules/c');
    expect(resolveIn(packages, 'services/x/node_modules/c', 'b')).toBe('node_modules/b');
    expect(resolveIn(packages, '', 'c')).toBeNull();
  });

  it('is what is installed when every version agrees; packages for other platforms may be absent', () => {
    const asked = {
      packages: { '': {}, 'node_modules/a': { version: '1' }, 'node_modules/m': { version: '1', optional: true } },
    };
    const record = (packages) => ({ packages });
    expect(installed(asked, record({ 'node_modules/a': { version: '1' } }))).toBe(true);
    expect(installed(asked, record({ 'node_modules/a': { version: '2' } }))).toBe(false);
    expect(installed(asked, record({}))).toBe(false);
    expect(installed(asked, record({ 'node_modules/a': { version: '1' }, 'node_modules/z': { version: '1' } }))).toBe(
      false,
    );
  });
});

describe('versions of servers', () => {
  it.each([
    ['postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)', 'postgres', true],
    ['postgres (PostgreSQL) 14.2', 'postgres', false],
    ['Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc', 'redis', true],
    ['Redis server v=6.2.1', 'redis', false],
    ['nats-server: v2.9.10', 'nats', true],
    ['nats-server: v2.9.9', 'nats', false],
    ['nats-server: v2.10.0', 'nats', true],
    ['db version v8.0.15', 'mongodb', true],
  ])('%s', (text, name, enough) => {
    expect(atLeast(versionIn(text), oldest[name])).toBe(enough);
  });

  it('are absent from a text without one', () => {
    expect(versionIn('command not found')).toBeNull();
  });
});

describe('servers named in the environment', () => {
  it.each([
    ['postgres', 'postgresql://u:p%40@db.example/x', 'db.example', 5432],
    ['mongodb', 'mongodb://u:p@one.example:27018,two.example/x?replicaSet=r', 'one.example', 27_018],
    ['redis', 'rediss://:secret@[::1]:6380', '::1', 6380],
    ['nats', 'nats://127.0.0.1', '127.0.0.1', 4222],
  ])('are asked at their first address: %s', (name, url, host, port) => {
    expect(addressIn(name, url)).toEqual({ how: 'tcp', host, port });
  });

  it('are refused when the value is no URL, by the name of the variable', () => {
    expect(() => addressIn('nats', 'localhost')).toThrow('NATS_URL is not a URL');
  });

  it('are told from a stand-in in words', () => {
    expect(wording('mongodb', { how: 'stand-in', version: 'x 1' })).toMatch(/x 1 .*STAND-IN/);
    expect(wording('redis', { how: 'environment', version: '7.4.0' })).toBe('7.4.0 named by REDIS_URL');
  });

  it("are greeted in PostgreSQL's protocol with a message of the length it says", () => {
    const hello = postgresHello();
    expect(hello.readInt32BE(0)).toBe(hello.length);
    expect(hello.subarray(8).toString()).toBe('user\0postgres\0database\0postgres\0\0');
  });
});

describe('the text of the repository', () => {
  it('may not name a registry, a path of one machine, or put things off', () => {
    const text = [
      'fine',
      'see https://registry.npm' + 'js.org/x',
      "cd '/wor" + "k/here'",
      '// TO' + 'DO later',
      'a/work/b',
      `${'<'.repeat(7)} HEAD`,
      '='.repeat(7),
      `${'>'.repeat(7)} 1a2b3c4 (Another thought)`,
    ].join('\n');
    expect(offences(text).map(({ line }) => line)).toEqual([2, 3, 4, 6, 7, 8]);
  });

  it('has a median length', () => {
    expect([[], [3], [1, 9, 2], [1, 2, 3, 10]].map(median)).toEqual([0, 3, 2, 2.5]);
  });
});

describe('the result of a run', () => {
  const report = { numPassedTests: 7, numFailedTests: 0, numRuntimeErrorTestSuites: 0 };

  it.each([
    ['all well', report, 0, 0, { passed: 7, failed: 0 }],
    ['a failed test', { ...report, numFailedTests: 2 }, 0, 1, { passed: 7, failed: 2 }],
    ['a file that could not run', { ...report, numRuntimeErrorTestSuites: 1 }, 0, 1, { passed: 7, failed: 1 }],
    ['a failed check', report, 1, 0, { passed: 7, failed: 1 }],
    ['a failure that Jest did not count', report, 0, 1, { passed: 7, failed: 1 }],
    ['no report', null, 0, 1, { passed: 0, failed: 1 }],
  ])('counts %s', (_, given, checked, tested, expected) => {
    expect(count(given, checked, tested)).toEqual(expected);
  });
});

describe('a test run', () => {
  it('has the whole system by itself, after the packages', () => {
    const [packages, system, ...more] = planRuns(parseArguments([]));
    expect(packages.selected).not.toContain('e2e');
    expect(system).toEqual({ selected: ['e2e'], alone: true });
    expect(more).toEqual([]);
    expect(planRuns(parseArguments(['e2e']))).toEqual([{ selected: ['e2e'], alone: true }]);
    expect(planRuns(parseArguments(['platform', '--verbose']))).toEqual([{ selected: ['platform'], alone: false }]);
  });

  it('is one when a file or a test is named', () => {
    expect(planRuns(parseArguments(['ports.test']))).toEqual([{ selected: [], alone: false }]);
    expect(planRuns(parseArguments(['-t', 'is refused']))).toHaveLength(1);
  });

  it('keeps from Jest what is not meant for it', () => {
    const asked = parseArguments(['platform', '--report=/tmp/r.json', '--bail']);
    expect(asked).toEqual({ selected: ['platform'], report: '/tmp/r.json', rest: ['--bail'] });
  });

  it('adds the counts of its parts, and counts nothing when a part is missing', () => {
    const part = {
      numPassedTests: 1,
      numFailedTests: 2,
      numPendingTests: 3,
      numTotalTests: 6,
      numRuntimeErrorTestSuites: 1,
    };
    expect(addReports([part, part])).toMatchObject({
      numPassedTests: 2,
      numFailedTests: 4,
      numRuntimeErrorTestSuites: 2,
    });
    expect(addReports([part, null])).toBeNull();
  });
});

describe('an archive', () => {
  it('is read by tar as the files it was made of, and is the same bytes each time', () => {
    const long = 'd'.repeat(90);
    mkdirSync(join(folder, 'in', long), { recursive: true });
    writeFileSync(join(folder, 'in/a.xml'), '<a/>');
    writeFileSync(join(folder, 'in', long, 'ü.html'), 'x'.repeat(600));
    const archive = tarOf(join(folder, 'in'), 'course');
    expect(tarOf(join(folder, 'in'), 'course').equals(archive)).toBe(true);
    writeFileSync(join(folder, 'a.tar'), archive);
    execFileSync('tar', ['xf', 'a.tar'], { cwd: folder });
    expect(readFileSync(join(folder, 'course/a.xml'), 'utf8')).toBe('<a/>');
    expect(readFileSync(join(folder, 'course', long, 'ü.html'), 'utf8')).toHaveLength(600);
  });

  it('refuses a path that does not fit, rather than cutting it', () => {
    expect(splitPath(`a/${'b'.repeat(99)}`)).toEqual({ prefix: 'a', name: 'b'.repeat(99) });
    expect(() => splitPath('b'.repeat(101))).toThrow('too long a path');
  });
});

describe('small things', () => {
  it('read migrations in the order of their names', () => {
    for (const name of ['0002_b', '0001_a', 'notes']) mkdirSync(join(folder, name));
    for (const name of ['0002_b', '0001_a']) writeFileSync(join(folder, name, 'migration.sql'), 'select 1;');
    expect(migrationsIn(folder).map(({ name }) => name)).toEqual(['0001_a', '0002_b']);
    expect(migrationsIn(join(folder, 'nowhere'))).toEqual([]);
  });

  it('say times as people do', () => {
    expect([40, 9_940, 12_400, 125_000].map(duration)).toEqual(['0.0 s', '9.9 s', '12 s', '2 min 05 s']);
  });
});
