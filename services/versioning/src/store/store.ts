import { fromHash, toHash } from '@coursewright/platform/ids';
import type { Outbox } from '@coursewright/platform/outbox';
import type { Database, Sql, Statement } from '@coursewright/platform/sql';
import type { LRUCache } from 'lru-cache';
import type { CommitLink } from '../domain/history.js';
import type { Advance, Commit, CourseRow, VersioningReads, VersioningStore } from '../operations/ports.js';
import { createCaches, type Caches } from './caches.js';
import { integrityReads } from './integrity-reads.js';
import { hashOrNull, toBranch, toCommit, toLogRow, type BranchRow, type CommitRow, type LogRow } from './rows.js';
import { turn } from '../turns.js';
import { reads } from './statements.js';
import { writeTx } from './write-tx.js';

/** Settings of the store. */
export interface StoreOptions {
  /** Memory for tree objects. */
  readonly objectCacheBytes?: number;
  /** Caches to work with, for tests that look into them. */
  readonly caches?: Caches;
}

/** The commits below a generation that are read together when a walk over the history needs one of them. */
const LINKS_AT_ONCE = 500;

interface CourseAndBranch extends BranchRow {
  id: string;
  default_branch: string;
  published: Buffer | null;
  published_version: number | null;
  latest_version: number;
}

/** The repository on PostgreSQL: named statements, immutable objects and commits kept in memory, heads always read. */
export function createStore(database: Database, outbox: Outbox, options: StoreOptions = {}): VersioningStore {
  const caches = options.caches ?? createCaches(options.objectCacheBytes);
  const onAdvance = (change: Advance): void => {
    void caches.objects.remember(change.objects);
    for (const commit of change.commits) {
      caches.commits.set(change.courseId + commit.hash, commit);
      const { hash, gen, parents } = commit;
      caches.links.set(change.courseId + hash, { hash, gen, parents });
    }
  };
  return {
    ...readsOn(database, caches),
    write: (work) =>
      database.tx((sql) => work(writeTx(sql, { reads: readsOn(oneByOne(sql), caches), outbox, onAdvance }))),
  };
}

/** A transaction has one connection, and a connection one statement at a time; what is asked for at once waits its turn. */
function oneByOne(sql: Sql): Sql {
  let last: Promise<unknown> = Promise.resolve();
  return {
    rows<T>(statement: Statement, values?: readonly unknown[]): Promise<T[]> {
      const next = last.then(() => sql.rows<T>(statement, values));
      last = next.catch(() => undefined);
      return next;
    },
  };
}

function readsOn(sql: Sql, caches: Caches): VersioningReads {
  return {
    objects: (courseId) => caches.objects.reader(sql, courseId),
    integrity: (courseId) => integrityReads(sql, courseId),
    course: (courseId, branch) => readCourse(sql, courseId, branch),
    commits: (courseId, hashes) => readCommits(sql, caches.commits, courseId, hashes),
    links: (courseId) => (hashes) => readLinks(sql, caches.links, courseId, hashes),
    descents: (courseId) => ({
      get: (hash) => caches.descents.get(courseId + hash),
      set: (hash, { hash: head, gen }) => void caches.descents.set(courseId + hash, { hash: head, gen }),
    }),
    reached: (courseId) => ({
      has: (hash) => caches.reached.has(courseId + hash),
      add: (hash) => void caches.reached.set(courseId + hash, true),
    }),
    hidden: (courseId) => ({
      get: (hash) => caches.hidden.get(courseId + hash),
      set: (hash, hidden) => void caches.hidden.set(courseId + hash, hidden),
    }),
    restricted: async (courseId) =>
      (await sql.rows<{ node_id: string }>(reads.restricted, [courseId])).map((row) => row.node_id),
    replaced: async (courseId, hashes, withinMs) =>
      hashesOf(await sql.rows(reads.replaced, [courseId, hashes.map(fromHash), withinMs])),
    async versionCommit(courseId, number) {
      const [row] = await sql.rows<{ commit: Buffer }>(reads.version, [courseId, number]);
      return row ? toHash(row.commit) : null;
    },
    async tagCommit(courseId, name) {
      const [row] = await sql.rows<{ commit: Buffer }>(reads.tag, [courseId, name]);
      return row ? toHash(row.commit) : null;
    },
    branchesById: async (courseId, ids) =>
      (await sql.rows<BranchRow>(reads.branchesById, [courseId, ids])).map(toBranch),
    branches: async (courseId, after, limit) =>
      (await sql.rows<BranchRow>(reads.branches, [courseId, after, limit])).map(toBranch),
    async homes(ids) {
      if (ids.length === 0) return [];
      const rows = await sql.rows<{ node_id: string; course_id: string; born: Buffer | null }>(reads.homes, [ids]);
      return rows.map((row) => ({ node: row.node_id, courseId: row.course_id, born: hashOrNull(row.born) }));
    },
    async nodeCommits(courseId, asks, { what, limit }) {
      const rows = await sql.rows<NodeCommitRow>(reads.nodeCommits, [
        courseId,
        asks.map(({ node }) => node),
        asks.map(({ before }) => before.gen),
        asks.map(({ before }) => fromHash(before.hash)),
        what,
        limit,
      ]);
      return rows.map((row) => ({ node: row.node_id, gen: row.gen, commit: toHash(row.commit), what: row.what }));
    },
    refLog: async (courseId, after, limit) =>
      (await sql.rows<LogRow>(reads.refLog, [courseId, after, limit])).map(toLogRow),
    async lastMove(courseId, ref) {
      const [row] = await sql.rows<{ seq: number }>(reads.lastMove, [courseId, ref]);
      return row?.seq ?? 0;
    },
    refHeads: async (courseId) => hashesOf(await sql.rows(reads.refHeads, [courseId])),
    visibleHeads: async (courseId) => hashesOf(await sql.rows(reads.visibleHeads, [courseId])),
  };
}

const hashesOf = (rows: readonly { hash: Buffer }[]): string[] => rows.map(({ hash }) => toHash(hash));

interface NodeCommitRow {
  node_id: string;
  gen: number;
  commit: Buffer;
  what: number;
}

async function readCourse(sql: Sql, courseId: string, branch: string): Promise<CourseRow | null> {
  const [row] = await sql.rows<CourseAndBranch>(reads.course, [courseId, branch]);
  if (!row) return null;
  return {
    courseId: row.id,
    defaultBranch: row.default_branch,
    published: hashOrNull(row.published),
    publishedVersion: row.published_version ?? 0,
    latestVersion: row.latest_version,
    branch: (row.branch_id as string | null) === null ? null : toBranch(row),
  };
}

async function readCommits(
  sql: Sql,
  cache: LRUCache<string, Commit>,
  courseId: string,
  hashes: readonly string[],
): Promise<ReadonlyMap<string, Commit>> {
  const found = new Map<string, Commit>();
  const missing: Buffer[] = [];
  for (const hash of new Set(hashes)) {
    const cached = cache.get(courseId + hash);
    if (cached) found.set(hash, cached);
    else missing.push(fromHash(hash));
  }
  if (missing.length === 0) return found;
  for (const row of await sql.rows<CommitRow>(reads.commits, [courseId, missing])) {
    const commit = toCommit(row);
    cache.set(courseId + commit.hash, commit);
    found.set(commit.hash, commit);
  }
  return found;
}

/** A walk goes back through time: with a commit that is not at hand, those of the generations before it are read too. */
async function readLinks(
  sql: Sql,
  cache: LRUCache<string, CommitLink>,
  courseId: string,
  hashes: readonly string[],
): Promise<ReadonlyMap<string, CommitLink>> {
  await turn();
  const found = new Map<string, CommitLink>();
  const look = (): string[] =>
    hashes.filter((hash) => {
      const link = cache.get(courseId + hash);
      if (link) found.set(hash, link);
      return !link;
    });
  for (let missing = look(), before = Infinity; missing.length > 0 && missing.length < before; missing = look()) {
    before = missing.length;
    const rows = await sql.rows<{ hash: Buffer; gen: number; parents: Buffer[] }>(reads.linksDown, [
      courseId,
      missing.map(fromHash),
      LINKS_AT_ONCE,
    ]);
    for (const row of rows) {
      const hash = toHash(row.hash);
      cache.set(courseId + hash, { hash, gen: row.gen, parents: row.parents.map(toHash) });
    }
  }
  return found;
}
