// Programs and packages of the machine.
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { attempt, run } from '../run.mjs';
import { atLeast, versionIn } from './versions.mjs';

const POLICY = '/usr/sbin/policy-rc.d';

/** The path of a command: on the PATH or in the folders for administrators that an ordinary user's PATH leaves out. */
export function which(name, env = process.env) {
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin'];
  for (const folder of folders.filter(Boolean)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** A server's program on this machine, new enough: `{bin, version}`; null when there is none. */
export async function programOf(name, wanted) {
  const bin = which(name);
  if (!bin) return null;
  const output = await attempt(bin, ['--version']);
  const version = versionIn(output);
  return version && atLeast(version, wanted) ? { bin, version: version.join('.') } : null;
}

/** Whether packages can be installed here: Debian's tools and the right to use them. */
export function mayInstall() {
  return process.getuid?.() === 0 && which('apt-get') !== null;
}

/**
 * Installs Debian packages. Servers among them must not come up on their default ports, nor a cluster be made: a policy
 * forbids the one (an existing policy is left as it is), a setting the other.
 */
export async function install(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (args) => run('apt-get', ['-o', 'DPkg::Lock::Timeout=180', '-q', ...args], { env, timeoutMs: 600_000 });
  const guard = !existsSync(POLICY);
  if (guard) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    if (packages.includes('postgresql') && !existsSync('/etc/postgresql-common/createcluster.conf')) {
      await apt(['update']);
      await apt(['install', '-y', '--no-install-recommends', 'postgresql-common']);
      writeFileSync('/etc/postgresql-common/createcluster.conf', 'create_main_cluster = false\n');
    }
    const args = ['install', '-y', '--no-install-recommends', ...packages];
    await apt(args).catch(async () => {
      await apt(['update']);
      await apt(args);
    });
  } finally {
    if (guard) rmSync(POLICY, { force: true });
  }
}
