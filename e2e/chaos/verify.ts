import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from '../src/api.js';
import type { ImportBody } from '../src/course.js';
import { atOnce } from './at-once.js';
import { checkBodies, readBodies } from './bodies.js';
import type { ChaosSystem } from './chaos-system.js';
import { checkCourse, checkLine } from './checker.js';
import { readLog, readTree, type ShownNode } from './course-state.js';
import type { ImportRun, Log, Violation, Write } from './history.js';
import { importCounts } from './importer.js';
import { compareTrees, replay, type Tree } from './model.js';
import { consumers, Look, readTrails } from './observe.js';
import { checkRows } from './rows.js';
import { checkAttempts, checkHolders, checkTrail } from './trail.js';
import type { Journal } from './writers.js';

/** A course as it was before the writers came. */
export interface Begun {
  readonly id: string;
  readonly title: string;
  readonly tree: Tree;
  readonly etags: ReadonlyMap<string, string>;
}

const SETTLE_MS = 30_000;
const IMPORT_MS = 60_000;
/** A process that the fault has hit may be away for a moment once more. */
const INTEGRITY_TRIES = 5;

/** Waits until every event of these courses has taken effect everywhere, or it takes too long: then the rows will say what is missing. */
export async function settle(system: ChaosSystem, courses: readonly string[]): Promise<void> {
  const { postgres } = system.facts.servers;
  const source = new Look(postgres, 'versioning');
  const looks = consumers.map((consumer) => new Look(postgres, consumer));
  const said = 'SELECT course_id || $$ $$ || n AS mark FROM course_seq WHERE course_id = ANY($1)';
  const taken = `SELECT course_id || $$ $$ || seq AS mark FROM inbox WHERE source = 'versioning' AND course_id = ANY($1)`;
  const unsent = 'SELECT 1 FROM outbox WHERE sent_at IS NULL AND course_id = ANY($1)';
  const marksOf = async (look: Look, text: string): Promise<string> =>
    (await look.rows<{ mark: string }>(text, [courses]))
      .map(({ mark }) => mark)
      .sort()
      .join();
  try {
    for (const end = Date.now() + SETTLE_MS; Date.now() < end; await sleep(100)) {
      const aim = await marksOf(source, said);
      const here = await Promise.all(looks.map((look) => marksOf(look, taken)));
      if (here.every((marks) => marks === aim) && (await source.rows(unsent, [courses])).length === 0) return;
    }
  } finally {
    for (const look of [source, ...looks]) await look.close();
  }
}

/** Compares everything that the clients of a course saw with everything that is kept of it. */
export async function verifyCourse(
  { system, api }: { readonly system: ChaosSystem; readonly api: Api },
  begun: Begun,
  journal: Journal,
): Promise<Violation[]> {
  const { id: course, title } = begun;
  const writes = journal.writes.filter((write) => write.course === course);
  const reads = journal.reads.filter((read) => read.course === course);
  const found: Violation[] = [];
  const bodies = await readBodies(system.facts.servers.mongodb, course);
  const saved = new Map(bodies.map((body) => [body.hash, body.saved]));
  const savedIn = (hash: string): string => saved.get(hash) ?? `a body that is not in MongoDB: ${hash}`;
  const branches = await readBranches(api, course);
  found.push(...checkBranches(course, branches, writes));
  const main = await readLog(api, course, '');
  const logs: Log[] = [main];
  const nodes = await readTree(api, { course, branch: '' }, savedIn);
  found.push(...compareWith({ where: course, begun, writes }, main, nodes));
  await atOnce(branches, async (branch) => {
    const log = await readLog(api, course, branch);
    logs.push(log);
    const tree = await readTree(api, { course, branch }, savedIn);
    found.push(...compareWith({ where: `${course} ${branch}`, begun, writes }, log, tree));
  });
  found.push(...checkCourse({ writes, reads, logs, initial: begun.etags }));
  found.push(...checkBodies(course, bodies, writes));
  found.push(...(await checkDocuments(api, nodes)));
  const head = main.entries.at(-1)?.hash ?? '';
  const commits = new Set(logs.flatMap(({ entries }) => entries.map(({ hash }) => hash)));
  found.push(...(await checkRows(system, api, { course, title, head, tree: main.tree, nodes, commits })));
  const trail = await readTrails(system.facts.servers.postgres, [course]);
  found.push(...checkTrail(trail, logs), ...checkHolders(trail));
  found.push(...(await checkIntegrity(system, course)));
  return found;
}

function compareWith(
  { where, begun, writes }: { readonly where: string; readonly begun: Begun; readonly writes: readonly Write[] },
  log: Log,
  tree: Tree,
): Violation[] {
  const titles = new Map([...tree.values()].map(({ title, id }) => [title, id]));
  const byId = new Map(writes.map((write) => [write.id, write]));
  return compareTrees(
    where,
    replay(begun.tree, log, byId, (title) => titles.get(title)),
    tree,
  );
}

async function readBranches(api: Api, course: string): Promise<string[]> {
  const branches = await api.all<{ name: string }>(`/courses/${course}/branches`);
  return branches.map(({ name }) => name).filter((name) => name !== 'main');
}

function checkBranches(course: string, names: readonly string[], writes: readonly Write[]): Violation[] {
  const made = writes.filter(({ kind }) => kind === 'branch');
  const count = (name: string): number => names.filter((one) => one === name).length;
  const bad = made.flatMap(({ id, outcome }): Violation[] => {
    const times = count(id);
    if (times > 1) return [{ kind: 'doubled', what: `branch ${id} of ${course} is there ${times} times` }];
    if (outcome === 'acknowledged' && times === 0)
      return [{ kind: 'lost', what: `branch ${id} of ${course} is not there` }];
    if (outcome === 'refused' && times > 0)
      return [{ kind: 'resurrected', what: `branch ${id} of ${course} was refused` }];
    return [];
  });
  const strange = names.filter((name) => !made.some(({ id }) => id === name));
  return [
    ...bad,
    ...strange.map((name): Violation => ({ kind: 'wrong', what: `nobody made branch ${name} of ${course}` })),
  ];
}

/** What the API gives out as a lesson's document is what the tree names. */
async function checkDocuments(api: Api, nodes: ReadonlyMap<string, ShownNode>): Promise<Violation[]> {
  const found: Violation[] = [];
  const documents = [...nodes.values()].filter(({ kind }) => kind === 'lesson' || kind === 'assignment');
  await atOnce(documents, async ({ id, body, saved }) => {
    const answer = await api.get<{ content: { materials: { content: string }[] } }>(`/lessons/${id}/content`);
    const shown = answer.body.content?.materials[0]?.content ?? '';
    const etag = answer.etag.slice(1).split('.')[0];
    if (answer.status !== 200 || shown !== saved || etag !== (body ?? 'none'))
      found.push({
        kind: 'wrong',
        what: `lesson ${id} answers ${answer.status} ${etag} ${shown}, should be ${body} ${saved}`,
      });
  });
  return found;
}

/** The check that operators have: every hash, tree, log row and body of the course. */
export async function checkIntegrity(system: ChaosSystem, course: string): Promise<Violation[]> {
  const { facts } = system;
  for (let tries = 1; ; tries += 1) {
    try {
      const answer = await fetch(`${facts.processes.versioning.url}/integrity?course=${course}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${facts.opsToken}` },
      });
      const report = (await answer.json()) as { done?: boolean; problemCount?: number; problems?: unknown[] };
      if (answer.ok && report.done && report.problemCount === 0) return [];
      const found = `${answer.status} ${JSON.stringify(report).slice(0, 500)}`;
      if (answer.ok || tries === INTEGRITY_TRIES)
        return [{ kind: 'wrong', what: `integrity check of ${course}: ${found}` }];
    } catch (error) {
      if (tries === INTEGRITY_TRIES) throw error;
    }
    await sleep(1_000);
  }
}

/** Every import that was taken has ended, as one course with all that its archive held; the ids of those courses. */
export async function verifyImports(
  { system, api }: { readonly system: ChaosSystem; readonly api: Api },
  runs: readonly ImportRun[],
): Promise<Violation[]> {
  const found = await atOnce(runs, async ({ id, importId, outcome }): Promise<Violation[]> => {
    const ofItsName = async (): Promise<number> => {
      const courses = await api.all<{ id: string; title: string }>(`/courses?query=${id}`);
      return courses.filter(({ title }) => title === id).length;
    };
    if (importId === null) {
      const made = await ofItsName();
      // Refused, which is judged as an answer too, or never answered.
      if (outcome === 'refused' && made > 0)
        return [{ kind: 'resurrected', what: `import ${id} was refused and made ${made} courses` }];
      return made > 1 ? [{ kind: 'doubled', what: `import ${id} made ${made} courses` }] : [];
    }
    const { state, job } = await endOf(api, importId);
    if (job === undefined) return [{ kind: 'lost', what: `import ${id} (${importId}) is not done: ${state}` }];
    const found = await verifyImport({ system, api }, id, job);
    const made = await ofItsName();
    return made === 1 ? found : [...found, { kind: 'doubled', what: `import ${id} made ${made} courses` }];
  });
  return found.flat();
}

async function endOf(api: Api, importId: string): Promise<{ state: string; job?: ImportBody }> {
  for (const end = Date.now() + IMPORT_MS; ; await sleep(200)) {
    const { status, body } = await api.get<ImportBody>(`/imports/${importId}`);
    if (status === 200 && body.state === 'done') return { state: 'done', job: body };
    const isOpen = status >= 500 || (status === 200 && body.state === 'running');
    if (!isOpen || Date.now() > end) return { state: `${status} ${JSON.stringify(body).slice(0, 300)}` };
  }
}

/** That an import is done is told once. */
async function checkFinished(system: ChaosSystem, id: string, course: string): Promise<Violation[]> {
  const look = new Look(system.facts.servers.postgres, 'content');
  try {
    const told = `SELECT 1 FROM outbox WHERE type = 'import-finished' AND course_id = $1`;
    const { length } = await look.rows(told, [course]);
    if (length === 1) return [];
    return [{ kind: length === 0 ? 'lost' : 'doubled', what: `import ${id} has ${length} events that it is done` }];
  } finally {
    await look.close();
  }
}

async function verifyImport(
  { system, api }: { readonly system: ChaosSystem; readonly api: Api },
  id: string,
  { courseId: course, counts }: ImportBody,
): Promise<Violation[]> {
  await settle(system, [course]);
  const found: Violation[] = [];
  for (const [name, count] of Object.entries(importCounts))
    if (counts[name] !== count)
      found.push({ kind: 'wrong', what: `import ${id} counts ${counts[name]} ${name}, not ${count}` });
  const bodies = new Map((await readBodies(system.facts.servers.mongodb, course)).map((body) => [body.hash, body]));
  const nodes = await readTree(api, { course, branch: '' }, () => '');
  for (const [kind, count] of [
    ['unit', importCounts.units],
    ['module', importCounts.modules],
    ['lesson', importCounts.lessons],
  ] as const) {
    const there = [...nodes.values()].filter((node) => node.kind === kind).length;
    if (there !== count)
      found.push({ kind: there < count ? 'lost' : 'doubled', what: `import ${id} has ${there} ${kind}s of ${count}` });
  }
  for (const { id: node, kind, body } of nodes.values())
    if (kind === 'lesson' && (body === null || !bodies.get(body)?.isSound))
      found.push({ kind: 'lost', what: `lesson ${node} of import ${id} has no sound body in MongoDB` });
  const log = await readLog(api, course, '');
  found.push(...checkLine(log));
  const head = log.entries.at(-1)?.hash ?? '';
  const commits = new Set(log.entries.map(({ hash }) => hash));
  found.push(...(await checkRows(system, api, { course, title: id, head, tree: log.tree, nodes, commits })));
  const trail = await readTrails(system.facts.servers.postgres, [course]);
  found.push(...checkTrail(trail, [log]), ...checkAttempts(trail));
  found.push(...(await checkFinished(system, id, course)));
  found.push(...(await checkIntegrity(system, course)));
  return found;
}
