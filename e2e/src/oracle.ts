import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What is installed of the reader of HTML and XML that the oracle uses, from PyPI, where a machine has none. */
const LXML = '6.1.3';
/** Nothing is compiled, and nobody waits long for a network that is not there. */
const PIP_INSTALL = 'pip install --quiet --disable-pip-version-check --only-binary :all: --retries 1 --timeout 10';
const repository = fileURLToPath(new URL('../../', import.meta.url));

/** Something in which a source and what a system made of it are not alike. */
export interface Difference {
  /** Key of the part: `type/url_name`. */
  readonly part: string;
  readonly what: string;
  readonly expected: unknown;
  readonly got: unknown;
}

export interface Comparison {
  readonly compared: { readonly parts: number; readonly texts: number; readonly words: number };
  readonly differences: readonly Difference[];
}

/** A part of a course as a system has it and shows it; in the order of the course. */
export interface StoredPart {
  readonly key: string;
  readonly parent: string | null;
  /** course, unit, module, lesson, assignment, material, exercise or assessment. */
  readonly kind: string;
  readonly type: string;
  readonly title: string;
  readonly audience: string;
  /** Whether learners are shown it, in outline or page. */
  readonly isShown: boolean;
  /** What learners' and authors' pages show of it. */
  readonly html: string;
  readonly staffHtml: string;
}

/** The oracle, or why there is none: it wants Python 3 with lxml, which is installed below `.data/` where it is missing. */
export function findOracle(): { python: string } | { missing: string } {
  if (hasLxml('python3')) return { python: 'python3' };
  const folder = join(repository, '.data', `oracle-lxml-${LXML}`);
  const python = join(folder, 'bin', 'python');
  if (hasLxml(python)) return { python };
  mkdirSync(join(repository, '.data'), { recursive: true });
  for (const [program, args] of [
    ['python3', ['-m', 'venv', '--clear', folder]],
    [python, ['-m', ...PIP_INSTALL.split(' '), `lxml==${LXML}`]],
  ] as const) {
    const { status, error, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 45_000 });
    if (status !== 0)
      return { missing: `${program} ${args.join(' ')}: ${error?.message ?? stderr.trim().slice(-500)}` };
  }
  return hasLxml(python) ? { python } : { missing: `${python} has no lxml after all` };
}

function hasLxml(python: string): boolean {
  return spawnSync(python, ['-c', 'import lxml.etree'], { timeout: 10_000 }).status === 0;
}

/** Compares a course's source, a folder or an archive, with what was made of it. */
export function compareWithSource(python: string, source: string, stored: readonly StoredPart[]): Comparison {
  const script = join(repository, 'e2e', 'oracle', 'compare.py');
  const input = JSON.stringify(stored);
  const run = spawnSync(python, ['-B', script, source], {
    ...{ input, encoding: 'utf8', timeout: 60_000, maxBuffer: 64 * 1024 * 1024 },
    env: { ...process.env, PYTHONIOENCODING: 'utf-8', PYTHONUTF8: '1' },
  });
  if (run.status !== 0) throw new Error(`the oracle failed: ${run.error?.message ?? run.stderr}`);
  return JSON.parse(run.stdout) as Comparison;
}
