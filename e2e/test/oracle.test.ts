import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { callersOf, type Callers } from '../src/callers.js';
import { importCourse } from '../src/course.js';
import { compareWithSource, findOracle, type Difference, type StoredPart } from '../src/oracle.js';
import { storedParts } from '../src/stored-parts.js';
import {
  apiOf,
  hasSharedData,
  publishByHand,
  sharedData,
  sharedDataPath,
  startTestSystem,
  type System,
} from '../src/system.js';

const SAMPLE = fileURLToPath(new URL('../../samples/spanish-a1', import.meta.url));

const oracle = findOracle();
const python = 'python' in oracle ? oracle.python : '';
if ('missing' in oracle) console.warn(`skipped: no course is compared with its source; ${oracle.missing}`);

const CLAIM = 'has the same parts, titles and words, for the same people';
const courses = [
  ['the Open edX demo course', 'olx-demo-course.tar.gz', { parts: 401, texts: 293, words: 16247 }],
  [
    'the MITx grading library',
    'interop/olx/mitx-grading-library-course.tar.gz',
    { parts: 139, texts: 63, words: 6486 },
  ],
] as const;
for (const [, file] of courses) if (!hasSharedData(file)) console.warn(`skipped: ../shared/data/${file} is absent`);

let system: System;
let callers: Callers;
let folder: string;

/** What a system has and shows of a course after its import. */
async function imported(archive: Uint8Array): Promise<StoredPart[]> {
  const api = apiOf(system);
  const job = await importCourse(api, archive);
  expect(job).toMatchObject({ state: 'done', error: null });
  const { head } = (await api.get<{ head: string }>(`/courses/${job.courseId}`)).body;
  await publishByHand(system, job.courseId, head);
  return storedParts(api, callers, job.courseId, head);
}

/** The differences in words, a line each, so that a failure says what is wrong with which part. */
function listed(differences: readonly Difference[]): string[] {
  const shown = (value: unknown): string => JSON.stringify(value);
  return differences.map(
    ({ part, what, expected, got }) => `${part}: ${what}: expected ${shown(expected)}, got ${shown(got)}`,
  );
}

/** A copy of the sample course with some texts changed, each of which it has once: by file, what stood there and what does now. */
function changedSample(name: string, changes: Readonly<Record<string, readonly [string, string]>>): string {
  const copy = join(folder, name);
  cpSync(SAMPLE, copy, { recursive: true });
  for (const [path, [before, after]] of Object.entries(changes)) {
    const text = readFileSync(join(copy, path), 'utf8');
    expect([path, text.split(before).length - 1]).toEqual([path, 1]);
    writeFileSync(join(copy, path), text.replace(before, after));
  }
  return copy;
}

const withOracle = python === '' ? describe.skip : describe;

withOracle('beside its source, as read by a program that shares nothing with ours,', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'oracle-'));
    system = await startTestSystem();
    callers = await callersOf(system);
  }, 180_000);
  afterAll(async () => {
    callers?.close();
    await system?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  for (const [name, file, counts] of courses) {
    (hasSharedData(file) ? it : it.skip)(
      `${name} ${CLAIM}`,
      async () => {
        const stored = await imported(await sharedData(file));
        const { compared, differences } = compareWithSource(python, sharedDataPath(file), stored);
        expect(listed(differences)).toEqual([]);
        expect(compared).toEqual(counts);
      },
      120_000,
    );
  }

  describe('the sample course', () => {
    let stored: StoredPart[];
    beforeAll(async () => {
      const pack = ['-C', dirname(SAMPLE), '-czf', '-', 'spanish-a1'];
      stored = await imported(execFileSync('tar', pack, { maxBuffer: 64 * 1024 * 1024 }));
    }, 120_000);

    it(CLAIM, () => {
      const { compared, differences } = compareWithSource(python, SAMPLE, stored);
      expect(listed(differences)).toEqual([]);
      expect(compared).toEqual({ parts: 233, texts: 170, words: 8084 });
    });

    it('is found to differ in a text and a problem of which one word is another, and in nothing else', () => {
      const source = changedSample('words', {
        'html/l02-where-is-the-stress.html': ['stress that vowel', 'stress this vowel'],
        'problem/l01-which-greeting.xml': ['at five in the afternoon', 'at six in the afternoon'],
      });
      expect(listed(compareWithSource(python, source, stored).differences)).toEqual([
        'problem/l01-which-greeting: words: expected "meet your neighbour at six in the afternoon, in", got "meet your neighbour at five in the afternoon, in"',
        'html/l02-where-is-the-stress: words: expected "an accent mark: stress this vowel, whatever the rules", got "an accent mark: stress that vowel, whatever the rules"',
      ]);
    });

    it('is found to differ in a choice, a title and an order that are others, and in nothing else', () => {
      const [first, second] = ['html/l08-age-is-something-you-have', 'html/l08-from-thirty-to-a-hundred'] as const;
      const written = (key: string): string => `<html url_name="${key.slice('html/'.length)}"/>`;
      const source = changedSample('order', {
        'problem/l02-the-silent-one.xml': ['correct="false">p<', 'correct="false">t<'],
        'chapter/unidad-2.xml': ['display_name="', 'display_name="Not '],
        'vertical/l08-edad.xml': [`${written(first)}\n  ${written(second)}`, `${written(second)}\n  ${written(first)}`],
      });
      expect(listed(compareWithSource(python, source, stored).differences)).toEqual([
        'problem/l02-the-silent-one: words: expected "is not pronounced? s t h l", got "is not pronounced? s p h l"',
        `${second}: the part in its place: expected "${second}", got "${first}"`,
        'chapter/unidad-2: title: expected "Not Unidad 2 · Mi gente y mi día", got "Unidad 2 · Mi gente y mi día"',
      ]);
    });

    it('is found to differ in a lesson that its source keeps from learners, with all below it, and in nothing else', () => {
      const source = changedSample('audience', {
        'vertical/l02-alfabeto.xml': ['<vertical ', '<vertical visible_to_staff_only="true" '],
      });
      const hidden = [
        'vertical/l02-alfabeto',
        'html/l02-written-as-it-sounds',
        'html/l02-where-is-the-stress',
        'problem/l02-the-silent-one',
        'problem/l02-write-what-you-hear',
        'problem/l02-find-the-stress',
      ];
      expect(listed(compareWithSource(python, source, stored).differences)).toEqual(
        hidden.flatMap((part) => [
          `${part}: audience: expected "author", got "learner"`,
          `${part}: shown to learners: expected false, got true`,
        ]),
      );
    });
  });
});
