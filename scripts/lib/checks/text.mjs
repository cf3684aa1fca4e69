// Rules for the text of the repository: how long files may be, and what must not stand in them.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../paths.mjs';
import { Refusal } from '../steps.mjs';

const SKIPPED = new Set(['node_modules', 'dist', '.data', '.git', 'coverage', 'generated']);
const BINARY = /\.(binpb|png|jpe?g|gif|ico|woff2?|gz|zip|pdf|mp[34])$/;
const LONGEST = { source: 300, test: 500 };

/** What no file of the repository may say, and why. */
export const forbidden = [
  { pattern: /registry\.(npmj[s]|yarnpk[g])|artifactor[y]|verdacci[o]|repo1\.mave[n]/i, why: 'names a registry' },
  { pattern: /(^|[\s"'`(=:])\/work\//, why: 'names a path of one machine' },
  { pattern: /\b(TO[D]O|FIX[M]E)\b/, why: 'puts something off' },
  { pattern: /^(<{7}|>{7}|={7})( |$)/, why: 'is left over from a merge' },
];

function* walk(folder) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue;
    const path = folder ? `${folder}/${entry.name}` : entry.name;
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

/** The files of the repository (those not yet added too), as paths from its root. */
export function repositoryFiles() {
  try {
    const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    const names = execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return names.split('\0').filter((name) => name && existsSync(join(root, name)));
  } catch {
    // No git, or a copy without its history.
    return [...walk('')];
  }
}

/** The lines of a text that break a rule, each with its number and why. */
export function offences(text) {
  return text
    .split('\n')
    .flatMap((line, index) =>
      forbidden.filter(({ pattern }) => pattern.test(line)).map(({ why }) => ({ line: index + 1, why })),
    );
}

/** Fails when a file says what none may. */
export async function textRules() {
  const found = [];
  for (const path of repositoryFiles()) {
    if (BINARY.test(path) || path.startsWith('proto/gen/')) continue;
    const text = readFileSync(join(root, path), 'utf8');
    for (const { line, why } of offences(text)) found.push(`${path}:${line} ${why}`);
  }
  if (found.length > 0) throw new Refusal(found.join('\n'));
  return '';
}

/** The median of numbers; 0 for none. */
export function median(numbers) {
  if (numbers.length === 0) return 0;
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Fails when a source file is longer than 300 lines or a test longer than 500; says the medians. */
export async function fileSizes() {
  const sizes = { source: [], test: [] };
  const long = [];
  for (const path of repositoryFiles()) {
    if (!/\.(ts|tsx|mjs|cjs|js|java)$/.test(path) || path.startsWith('proto/gen/')) continue;
    const kind = /(^|\/)(test|bench|e2e)\//.test(path) ? 'test' : 'source';
    const lines = readFileSync(join(root, path), 'utf8').trimEnd().split('\n').length;
    sizes[kind].push(lines);
    if (lines > LONGEST[kind]) long.push(`${path} has ${lines} lines, more than ${LONGEST[kind]}`);
  }
  if (long.length > 0) throw new Refusal(long.join('\n'));
  const part = (kind) =>
    `${sizes[kind].length} ${kind} files, median ${median(sizes[kind])} lines, longest ${Math.max(0, ...sizes[kind])}`;
  return `${part('source')}; ${part('test')}`;
}
