import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from '../src/api.js';
import type { ChaosSystem } from './chaos-system.js';
import type { Violation, ViolationKind } from './history.js';
import type { Tree } from './model.js';
import { consumers, Look } from './observe.js';

/** What the stores of all services have to agree on for one course. */
export interface CourseTruth {
  readonly course: string;
  readonly title: string;
  readonly head: string;
  /** Hash of the root node at the head. */
  readonly tree: string;
  readonly nodes: Tree;
  /** Hashes of all commits of all branches. */
  readonly commits: ReadonlySet<string>;
}

type Finder = (kind: ViolationKind, what: string) => void;

interface Counts {
  readonly units: number;
  readonly modules: number;
  readonly lessons: number;
  readonly assignments: number;
}

function countsOf(nodes: Tree): Counts {
  const count = (kind: string): number => [...nodes.values()].filter((node) => node.kind === kind).length;
  return { units: count('unit'), modules: count('module'), lessons: count('lesson'), assignments: count('assignment') };
}

/** Drops are paid within a second when the cache answers. */
const OWED_MS = 5_000;

const equal = (one: Counts, other: Counts | undefined): boolean =>
  (['units', 'modules', 'lessons', 'assignments'] as const).every((name) => one[name] === other?.[name]);

/** Compares the rows of every service, and what lists show, with what the course is. */
export async function checkRows(system: ChaosSystem, api: Api, truth: CourseTruth): Promise<Violation[]> {
  const found: Violation[] = [];
  const add: Finder = (kind, what) => found.push({ kind, what: `${truth.course}: ${what}` });
  const { postgres } = system.facts.servers;
  const looks = Object.fromEntries(
    ['versioning', ...consumers].map((service) => [service, new Look(postgres, service)]),
  ) as Record<'versioning' | (typeof consumers)[number], Look>;
  try {
    await checkOutbox(looks.versioning, truth, add);
    for (const consumer of consumers)
      await checkInbox({ source: looks.versioning, consumer, look: looks[consumer] }, truth, add);
    await checkCards(looks.catalog, truth, add);
    await checkReview(looks.review, truth, add);
    await checkDeployment(looks.deployment, truth, add);
    await checkList(api, truth, add);
  } finally {
    for (const look of Object.values(looks)) await look.close();
  }
  return found;
}

/** One event for each commit, numbered without a gap, and all of them sent. */
async function checkOutbox(look: Look, { course, commits }: CourseTruth, add: Finder): Promise<void> {
  const rows = await look.rows<{ seq: number; type: string; commit: string; sent: boolean }>(
    `SELECT seq::int AS seq, type, data ->> 'commit' AS commit, sent_at IS NOT NULL AS sent FROM outbox WHERE course_id = $1 ORDER BY seq`,
    [course],
  );
  rows.forEach(
    ({ seq }, index) => seq === index + 1 || add('lost', `event ${index + 1} of versioning is numbered ${seq}`),
  );
  const unsent = rows.filter(({ sent }) => !sent).length;
  if (unsent > 0) add('late', `${unsent} events of versioning were never published`);
  const told = new Map<string, number>();
  for (const { type, commit } of rows) if (type === 'committed') told.set(commit, (told.get(commit) ?? 0) + 1);
  for (const [commit, times] of told) {
    if (times > 1) add('doubled', `${times} events for commit ${commit}`);
    if (!commits.has(commit)) add('wrong', `an event for commit ${commit}, which is in no log`);
  }
  for (const commit of commits) if (!told.has(commit)) add('lost', `no event for commit ${commit}`);
}

async function checkInbox(
  { source, consumer, look }: { readonly source: Look; readonly consumer: string; readonly look: Look },
  { course }: CourseTruth,
  add: Finder,
): Promise<void> {
  const [said] = await source.rows<{ n: string }>('SELECT n FROM course_seq WHERE course_id = $1', [course]);
  const taken = await look.rows<{ seq: string; parked: boolean }>(
    `SELECT seq, parked_at IS NOT NULL AS parked FROM inbox WHERE source = 'versioning' AND course_id = $1`,
    [course],
  );
  if (taken.length !== 1 || taken[0]!.seq !== said?.n || taken[0]!.parked)
    add('late', `${consumer} is at ${JSON.stringify(taken)} of ${said?.n} events`);
  const dead = await look.rows<{ reason: string }>('SELECT reason FROM dead_letter WHERE course_id = $1', [course]);
  if (dead.length > 0) add('wrong', `${dead.length} dead letters at ${consumer}: ${dead[0]!.reason}`);
}

async function checkCards(look: Look, { course, head, nodes }: CourseTruth, add: Finder): Promise<void> {
  const cards = await look.rows<{ head: string; counts: Counts; fact: string }>(
    `SELECT c.shown ->> 'head' AS head, c.shown -> 'counts' AS counts, p.facts -> 'head' ->> 'commit' AS fact
     FROM course_card c LEFT JOIN course_projection p USING (course_id) WHERE c.course_id = $1`,
    [course],
  );
  const [card] = cards;
  if (cards.length !== 1) add(cards.length === 0 ? 'lost' : 'doubled', `${cards.length} cards`);
  if (card === undefined) return;
  if (card.head !== head || card.fact !== head) add('stale', `the card shows ${card.head}, the head is ${head}`);
  if (!equal(countsOf(nodes), card.counts)) add('wrong', `the card counts ${JSON.stringify(card.counts)}`);
  await checkOwed(look, add);
}

/** Imports may still be under way and owe something new at any moment: what was owed at first has to be paid soon. */
async function checkOwed(look: Look, add: Finder): Promise<void> {
  const [last] = await look.rows<{ id: string | null }>('SELECT max(id)::text AS id FROM owed_drop');
  let owed = 0;
  for (const end = Date.now() + OWED_MS; Date.now() < end; await sleep(100)) {
    owed = (await look.rows('SELECT 1 FROM owed_drop WHERE id <= $1::bigint', [last?.id ?? null])).length;
    if (owed === 0) return;
  }
  add('late', `${owed} drops are still owed to the cache after ${OWED_MS / 1000} s`);
}

async function checkReview(look: Look, { course, head, tree }: CourseTruth, add: Finder): Promise<void> {
  const rows = await look.rows<{ commit: string; tree: string }>(
    'SELECT commit, tree FROM course_head WHERE course_id = $1',
    [course],
  );
  if (rows.length !== 1 || rows[0]!.commit !== head || rows[0]!.tree !== tree)
    add('stale', `review has ${JSON.stringify(rows)}, the head is ${head} with ${tree}`);
}

async function checkDeployment(look: Look, { course, nodes }: CourseTruth, add: Finder): Promise<void> {
  const rows = await look.rows<{ id: string; title: string }>(
    'SELECT node_id AS id, title FROM submittable_content WHERE course_id = $1 AND removed_at IS NULL',
    [course],
  );
  const wanted = [...nodes.values()].filter(({ kind }) => kind === 'assignment');
  const there = new Map(rows.map(({ id, title }) => [id, title]));
  for (const { id, title } of wanted) {
    if (!there.has(id)) add('lost', `deployment does not know assignment ${id}`);
    else if (there.get(id) !== title) add('stale', `deployment calls ${id} ${there.get(id)}, it is ${title}`);
  }
  if (rows.length > wanted.length) add('doubled', `deployment knows ${rows.length} assignments of ${wanted.length}`);
  const aims = await look.rows('SELECT 1 FROM content_sync WHERE course_id = $1', [course]);
  if (aims.length > 0) add('late', 'deployment has not listed its contents anew');
}

async function checkList(api: Api, { course, title, head, nodes }: CourseTruth, add: Finder): Promise<void> {
  const items = await api.all<{ id: string; head: string; counts: Counts }>(
    `/courses?query=${encodeURIComponent(title)}`,
  );
  const mine = items.filter(({ id }) => id === course);
  if (mine.length !== 1) add(mine.length === 0 ? 'lost' : 'doubled', `is ${mine.length} times in the list`);
  for (const item of mine) {
    if (item.head !== head) add('stale', `the list shows ${item.head}, the head is ${head}`);
    if (!equal(countsOf(nodes), item.counts)) add('wrong', `the list counts ${JSON.stringify(item.counts)}`);
  }
}
