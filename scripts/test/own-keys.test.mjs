import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';
import { ownKeys } from '../lint/own-keys.mjs';

let folder;
let eslint;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'own-keys-'));
  mkdirSync(join(folder, 'src'));
  const compilerOptions = {
    strict: true,
    target: 'es2023',
    lib: ['es2023'],
    module: 'esnext',
    types: [],
    noEmit: true,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  eslint = new ESLint({
    cwd: folder,
    overrideConfigFile: true,
    overrideConfig: {
      files: ['**/*.ts'],
      languageOptions: {
        parser: tseslint.parser,
        parserOptions: {
          project: ['./tsconfig.json'],
          tsconfigRootDir: folder,
          // Under CI the parser would read the project once, before the cases are written.
          disallowAutomaticSingleRunInference: true,
        },
      },
      plugins: { local: { rules: { 'own-keys': ownKeys } } },
      rules: { 'local/own-keys': 'error' },
    },
  });
});

afterAll(() => rmSync(folder, { recursive: true }));

let count = 0;

/** What the rule points at in a piece of code. */
async function found(code) {
  const file = join(folder, 'src', `case-${count++}.ts`);
  const dictionaries = 'type Fields = Readonly<Record<string, unknown>>; type Kind = "unit" | "lesson";';
  writeFileSync(file, `${dictionaries}\n${code}\nexport {};\n`);
  const [result] = await eslint.lintFiles([file]);
  expect(result.messages.filter(({ fatal }) => fatal)).toEqual([]);
  return result.messages.map(({ line, column, endColumn }) => {
    return result.source.split('\n')[line - 1].slice(column - 1, endColumn - 1);
  });
}

describe('a name that may come from outside', () => {
  it('is pointed at in the comparison of fields that failed for ever on a field called toString', async () => {
    const code = `declare function sameValue(a: unknown, b: unknown): boolean;
      export function diffFields(from: Fields, to: Fields) {
        const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
        return names.filter((name) => !sameValue(from[name], to[name]))
          .map((name) => ({ pointer: name, from: from[name], to: to[name] }));
      }`;
    expect(await found(code)).toEqual(['from[name]', 'to[name]', 'from[name]', 'to[name]']);
  });

  it.each([
    [
      'a table with an index signature',
      'const TYPES: Record<string, number> = {}; export const f = (n: string) => TYPES[n];',
      'TYPES[n]',
    ],
    ['a write', 'export const f = (o: Record<string, number>, n: string) => { o[n] = 1; };', 'o[n]'],
    ['one of two types', 'export const f = (o: Fields | number[], n: string) => (o as Fields)[n];', '(o as Fields)[n]'],
    ['an optional chain', 'export const f = (o: Fields | undefined, n: string) => o?.[n];', 'o?.[n]'],
    [
      'names of another object',
      'export function f(a: Fields, b: Fields) { for (const n of Object.keys(a)) b[n]; }',
      'b[n]',
    ],
    [
      'a question about another name',
      'export const f = (o: Fields, a: string, b: string) => Object.hasOwn(o, a) && o[b];',
      'o[b]',
    ],
    ['a question with in', 'export const f = (o: Fields, n: string) => (n in o ? o[n] : 0);', 'o[n]'],
  ])('is pointed at in %s', async (_what, code, expected) => {
    expect(await found(code)).toEqual([expected]);
  });

  it.each([
    ['Object.hasOwn was asked', 'export const f = (o: Fields, n: string) => (Object.hasOwn(o, n) ? o[n] : undefined);'],
    [
      'it goes through the names of the object itself',
      'export function f(o: Fields) { for (const n of Object.keys(o).sort()) o[n]; }',
    ],
    ['it is the parameter of such a walk', 'export const f = (o: Fields) => Object.keys(o).map((n) => o[n]);'],
    [
      'the object has no prototype',
      'export function f(n: string) { const o = Object.create(null) as Record<string, number>; o[n] = 1; }',
    ],
    [
      'nor had its copy',
      'export function f(a: Fields, n: string) { const o = Object.assign(Object.create(null), a) as Record<string, unknown>; o[n] = 1; }',
    ],
    ['the names are a closed set', 'export const f = (o: Record<Kind, number>, k: Kind) => o[k];'],
    ['the closed set is used on an open table', 'export const f = (o: Record<string, number>, k: Kind) => o[k];'],
    ['it is a number', 'export const f = (o: number[], i: number) => o[i];'],
    ['it is written out', 'export const f = (o: Record<string, number>) => o["title"];'],
    ['it is a Map', 'export const f = (o: Map<string, number>, n: string) => o.get(n);'],
  ])('is left alone where %s', async (_why, code) => {
    expect(await found(code)).toEqual([]);
  });
});
