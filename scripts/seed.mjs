// Loads the repository's sample course through the gateway, once, and gives the development people their roles on it.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { readJson, writeJson } from './lib/files.mjs';
import { people } from './lib/keys.mjs';
import { root } from './lib/paths.mjs';
import { Refusal } from './lib/steps.mjs';
import { tarOf } from './lib/tar.mjs';

const SAMPLES = join(root, 'samples');
const IMPORT_MS = 120_000;

/** The folder of the sample course: the first one below samples/ with a course.xml; null when there is none. */
export function sampleFolder(samples = SAMPLES) {
  const names = existsSync(samples) ? readdirSync(samples).sort() : [];
  const name = names.find((one) => existsSync(join(samples, one, 'course.xml')));
  return name ? { name, folder: join(samples, name) } : null;
}

async function call(system, path, { as, ...init } = {}) {
  const response = await fetch(`${system.gateway}/api${path}`, {
    ...init,
    headers: { authorization: `Bearer ${system.tokens[as]}`, ...init.headers },
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  const body = text.startsWith('{') ? JSON.parse(text) : {};
  return { status: response.status, headers: response.headers, body };
}

async function importArchive(system, archive) {
  const created = await call(system, '/imports?format=olx', {
    as: 'author',
    method: 'POST',
    headers: { 'content-type': 'application/gzip' },
    body: archive,
  });
  if (created.status !== 202) {
    throw new Refusal(`the import of the sample course was refused: ${created.status} ${JSON.stringify(created.body)}`);
  }
  const end = Date.now() + IMPORT_MS;
  while (Date.now() < end) {
    const { body } = await call(system, `/imports/${created.body.id}`, { as: 'author' });
    if (body.state === 'done') return body;
    if (body.state === 'failed')
      throw new Refusal(`the import of the sample course failed: ${JSON.stringify(body.error)}`);
    await sleep(100);
  }
  throw new Refusal(`the import of the sample course took longer than ${IMPORT_MS / 1000} s`);
}

/**
 * Gives reviewer, publisher, deployer and learner their role on the sample course (its importer, the author, owns it).
 * `system` is `{gateway, tokens, ports, keys, folder, hosts?}`. Asks catalog itself, as the gateway would for the admin.
 */
export async function grantRoles({ ports, keys, hosts }, courseId) {
  const [{ openChannel }, { createTokenMinter }, { CatalogServiceDefinition }] = await Promise.all([
    import('../platform/dist/rpc-client.js'),
    import('../platform/dist/internal-token.js'),
    import('../proto/dist/coursewright/catalog/v1/catalog.js'),
  ]);
  const channel = openChannel('catalog', `${hosts?.catalog ?? '127.0.0.1'}:${ports.catalog}`);
  try {
    const { sub, name, roles } = people.admin;
    const token = await (await createTokenMinter(keys.internal.gateway)).mint({ sub, name, roles, grants: [] });
    const catalog = channel.client(CatalogServiceDefinition);
    for (const role of ['reviewer', 'publisher', 'deployer', 'learner']) {
      await catalog.putMember({ courseId, subject: people[role].sub, role }, { token });
    }
  } finally {
    channel.close();
  }
}

/**
 * Loads the sample course unless an earlier start did (remembered in `sample.json` of the data folder, and asked of the
 * gateway, as the databases may have been emptied). Resolves to `{sampleCourse: id | null, detail}`.
 */
export async function seed(system) {
  const file = join(system.folder, 'sample.json');
  const known = readJson(file);
  if (known && (await call(system, `/courses/${known.courseId}`, { as: 'admin' })).status === 200) {
    return { sampleCourse: known.courseId, detail: 'already loaded' };
  }
  const sample = sampleFolder();
  if (!sample) return { sampleCourse: null, detail: 'there is none in samples/' };
  const { courseId, counts } = await importArchive(system, gzipSync(tarOf(sample.folder, 'course'), { level: 9 }));
  await grantRoles(system, courseId);
  writeJson(file, { courseId, sample: sample.name });
  const { units, modules, lessons } = counts;
  return { sampleCourse: courseId, detail: `${units} units, ${modules} modules, ${lessons} lessons` };
}
