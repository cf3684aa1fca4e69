// The npm packages: installed when they are missing or not those of the lock file.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readJson } from './files.mjs';
import { withLock } from './lock.mjs';
import { root } from './paths.mjs';
import { run } from './run.mjs';
import { Refusal } from './steps.mjs';

const MODULES = join(root, 'node_modules');
const STAMP = join(MODULES, '.coursewright-lock');

/** Whether what npm recorded of its last installation is what the lock asks for; optional packages may be absent. */
export function installed(lock, record) {
  const names = new Set([...Object.keys(lock.packages), ...Object.keys(record.packages)]);
  for (const name of names) {
    if (!name.includes('node_modules/')) continue;
    const [asked, present] = [lock.packages[name], record.packages[name]];
    if (!asked) return false;
    if (asked.link) continue;
    if (!present && (asked.optional || asked.devOptional || asked.peer)) continue;
    if (present?.version !== asked.version) return false;
  }
  return true;
}

function lockText() {
  return readFileSync(join(root, 'package-lock.json'));
}

function upToDate() {
  const text = lockText();
  const hash = createHash('sha256').update(text).digest('hex');
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === hash) return true;
  const record = readJson(join(MODULES, '.package-lock.json'));
  if (!record || !installed(JSON.parse(text), record)) return false;
  writeFileSync(STAMP, hash);
  return true;
}

/**
 * Installs the packages of the lock file unless they are there; says what was done. `running` tells whether the system
 * of this checkout runs: its modules must not be taken away under it.
 */
export async function ensurePackages({ running = () => false, lockFile }) {
  if (upToDate()) return 'already installed';
  return withLock(lockFile, async () => {
    if (upToDate()) return 'already installed';
    if (running()) {
      throw new Refusal(
        'package-lock.json has changed, and the system runs on the old packages: npm run stop, then again',
      );
    }
    await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { timeoutMs: 900_000 });
    writeFileSync(STAMP, createHash('sha256').update(lockText()).digest('hex'));
    return 'npm ci';
  });
}
