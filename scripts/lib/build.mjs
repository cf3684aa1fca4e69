// Prisma clients and compiled code: made anew only when what they are made from has changed.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readJson, writeJson } from './files.mjs';
import { withLock } from './lock.mjs';
import { processNames } from './names.mjs';
import { productNode, root, tool } from './paths.mjs';
import { folderOf } from './processes.mjs';
import { run } from './run.mjs';

const CACHE = join(root, 'node_modules/.cache/coursewright');
const STAMPS = join(CACHE, 'stamps.json');
const PACKAGES = ['proto', 'platform', 'course-model', ...processNames.map(folderOf), 'e2e', 'bench'];
const OUTPUTS = new Set(['node_modules', 'dist', 'test', '.data']);

/** The services that read and write by a generated Prisma client; the others speak SQL by `pg`. */
const WITH_CLIENT = ['review', 'deployment'];

function servicesWithClient() {
  return WITH_CLIENT.filter((name) => existsSync(join(root, folderOf(name), 'prisma.config.ts')));
}

/** All files below a folder that go into the build, with what tells one state of them from another. */
function* states(folder) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (OUTPUTS.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* states(path);
    else if (/\.(ts|json|prisma|sql)$/.test(entry.name)) {
      const { size, mtimeMs } = statSync(path);
      yield `${path} ${size} ${mtimeMs}`;
    }
  }
}

function hashOf(lines) {
  const hash = createHash('sha256');
  for (const line of lines) hash.update(`${line}\n`);
  return hash.digest('hex');
}

/** Runs `make` unless the stamp of that name is `value` already and `complete()` finds its result in place. */
async function unlessStamped(name, value, { complete, make }) {
  if (readJson(STAMPS)?.[name] === value && complete()) return false;
  await make();
  writeJson(STAMPS, { ...readJson(STAMPS), [name]: value });
  return true;
}

async function generateClient(name) {
  const folder = join(root, folderOf(name));
  const files = ['prisma/schema.prisma', 'prisma.config.ts'].map((file) => join(folder, file));
  const { version } = readJson(join(root, 'node_modules/prisma/package.json'));
  const value = hashOf([version, ...files.map((file) => readFileSync(file, 'utf8'))]);
  return unlessStamped(`client ${name}`, value, {
    complete: () => existsSync(join(folder, 'src/generated')),
    make: () =>
      run(productNode(), [tool('prisma'), 'generate', '--config', files[1]], {
        env: { ...process.env, CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' },
        timeoutMs: 120_000,
      }),
  });
}

/** Generates the Prisma clients that are out of date; says which. */
export async function generateClients() {
  return withLock(join(CACHE, 'build.lock'), async () => {
    const made = [];
    for (const name of servicesWithClient()) if (await generateClient(name)) made.push(name);
    return made.length > 0 ? `Prisma clients of ${made.join(', ')}` : 'nothing has changed';
  });
}

/** Compiles what has changed; says whether anything had. */
export async function build() {
  return withLock(join(CACHE, 'build.lock'), async () => {
    const configs = ['package-lock.json', 'tsconfig.json', 'tsconfig.base.json'].map((file) => {
      return hashOf([readFileSync(join(root, file), 'utf8')]);
    });
    const value = hashOf([...configs, ...PACKAGES.flatMap((folder) => [...states(join(root, folder))])]);
    const done = await unlessStamped('build', value, {
      complete: () => processNames.every((name) => existsSync(join(root, folderOf(name), 'dist/main.js'))),
      make: () => run(productNode(), [tool('tsc'), '-b'], { timeoutMs: 300_000 }),
    });
    return done ? 'tsc -b' : 'nothing has changed';
  });
}
