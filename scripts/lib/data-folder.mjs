// Where the system keeps its data: `.data/` in the checkout, or below /var/lib when the database's user cannot enter it.
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { root } from './paths.mjs';

const ELSEWHERE = '/var/lib/coursewright';

/** The entry of a user in the text of /etc/passwd: `{name, uid, gid}`, or null. */
export function passwdEntry(text, name) {
  const line = text.split('\n').find((entry) => entry.startsWith(`${name}:`));
  if (!line) return null;
  const [, , uid, gid] = line.split(':');
  return { name, uid: Number(uid), gid: Number(gid) };
}

/**
 * The user as whom PostgreSQL runs when the caller is root (PostgreSQL refuses to run as root); null for anyone else.
 * Takes `postgres`, which Debian's package makes, or makes a system user of its own; `nobody` where that is impossible.
 */
export function databaseUser() {
  if (process.getuid?.() !== 0) return null;
  const find = (name) => passwdEntry(readFileSync('/etc/passwd', 'utf8'), name);
  const known = find('postgres') ?? find('coursewright');
  if (known) return known;
  try {
    execFileSync('useradd', ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', 'coursewright'], {
      stdio: 'ignore',
    });
  } catch {
    // No useradd here: the user that every system has will do.
  }
  return find('coursewright') ?? find('nobody');
}

/** Whether a user may pass through a folder with these rights. */
export function mayEnter({ uid, gid, mode }, user) {
  if (uid === user.uid) return Boolean(mode & 0o100);
  if (gid === user.gid) return Boolean(mode & 0o010);
  return Boolean(mode & 0o001);
}

/** Whether a user can reach a folder from the root of the file system. */
export function reachable(folder, user, stat = statSync) {
  for (let path = folder; ; path = dirname(path)) {
    if (!mayEnter(stat(path), user)) return false;
    if (path === dirname(path)) return true;
  }
}

/**
 * The data folder of the checkout, made when it is not there yet. As root, in a checkout that the database's user cannot
 * enter, `.data` is a link to a folder of its own below /var/lib/coursewright, and its path is that folder's: the way
 * through the link is barred.
 */
export function dataFolder({ checkout = root, user = databaseUser(), elsewhere = ELSEWHERE } = {}) {
  const folder = join(checkout, '.data');
  const present = lstatSync(folder, { throwIfNoEntry: false });
  if (!user || reachable(checkout, user)) {
    if (present?.isSymbolicLink() && !existsSync(folder)) rmSync(folder);
    mkdirSync(folder, { recursive: true });
    return realpathSync(folder);
  }
  const hash = createHash('sha256').update(checkout).digest('hex').slice(0, 16);
  const target = join(elsewhere, hash);
  mkdirSync(target, { recursive: true, mode: 0o755 });
  if (present?.isSymbolicLink()) {
    if (existsSync(folder)) return realpathSync(folder);
    rmSync(folder);
  } else if (present) {
    cpSync(folder, target, { recursive: true, preserveTimestamps: true });
    rmSync(folder, { recursive: true });
  }
  symlinkSync(target, folder);
  return target;
}
