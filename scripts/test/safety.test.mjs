// Rules of this repository that no linter has.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

const root = new URL('../../', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');
const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\0')
  .filter(Boolean);
const sources = tracked.filter((path) => /^(platform|course-model|gateway|services\/[a-z]+)\/src\/.*\.ts$/.test(path));

describe('the repository', () => {
  it('lists every reason it throws in docs/errors.md, and none that it does not', () => {
    const listed = new Set([...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, reason]) => reason));
    const texts = sources.map((path) => read(path));
    const thrown = new Set(
      texts.flatMap((text) =>
        [...text.matchAll(/new AppError\(\s*'[a-z_]+',\s*'([A-Z][A-Z_]+)'/g)].map(([, reason]) => reason),
      ),
    );
    const everything = texts.join('\n');
    expect([...thrown].filter((reason) => !listed.has(reason))).toEqual([]);
    expect([...listed].filter((reason) => !everything.includes(`'${reason}'`))).toEqual([]);
  });

  it('names environment variables in config.ts only', () => {
    const offenders = sources.filter(
      (path) => !/\/(config|main|testing\/servers)\.ts$/.test(path) && /process\.env|\benv\[/.test(read(path)),
    );
    expect(offenders).toEqual([]);
  });

  it('touches the process in main.ts only', () => {
    const offenders = sources.filter(
      (path) => !/\/(main|testing\/servers)\.ts$/.test(path) && /\bprocess\.(exit|on|once|argv)\b/.test(read(path)),
    );
    expect(offenders).toEqual([]);
  });

  it('has no barrels', () => {
    expect(sources.filter((path) => /\/index\.ts$/.test(path))).toEqual([]);
    expect(sources.filter((path) => /^export \* from/m.test(read(path)))).toEqual([]);
  });

  it('replaces no module in tests and skips none of them for good', () => {
    const tests = tracked.filter((path) => /\/test\/.*\.(ts|mjs)$/.test(path) && !path.endsWith('safety.test.mjs'));
    const offenders = tests.filter((path) =>
      /jest\.(unstable_)?mock(Module)?\(|\b(it|test|describe)\.only\(|\bx(it|describe)\(/.test(read(path)),
    );
    expect(offenders).toEqual([]);
  });

  it('keeps a README in every service that names each of its RPCs', () => {
    for (const service of ['catalog', 'content', 'review', 'versioning', 'deployment']) {
      const proto = read(`proto/coursewright/${service}/v1/${service}.proto`);
      const readme = read(`services/${service}/README.md`);
      const missing = [...proto.matchAll(/^\s+rpc (\w+)\(/gm)]
        .map(([, name]) => name)
        .filter((name) => !readme.includes(name));
      expect([service, missing]).toEqual([service, []]);
    }
  });

  it('has a README that a newcomer reads in one go', () => {
    expect(read('README.md').split('\n').length).toBeLessThanOrEqual(100);
  });
});
