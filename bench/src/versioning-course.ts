import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fromHash, newId, toHash } from '@coursewright/platform/ids';
import { createOutbox } from '@coursewright/platform/outbox';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { buildTree, type TreeSpec } from '@coursewright/versioning/domain/build-tree';
import { ObjectPool } from '@coursewright/versioning/domain/object-pool';
import { BranchAdvance } from '@coursewright/versioning/operations/advance';
import { createCourse } from '@coursewright/versioning/operations/create-course';
import type { Advance, Deps, VersioningStore } from '@coursewright/versioning/operations/ports';
import { createStore } from '@coursewright/versioning/store/store';
import pg from 'pg';

/** How many units, modules in each, lessons in each. */
export type Shape = readonly [units: number, modules: number, lessons: number];

/** A course as both stores of this benchmark have it. */
export interface BenchCourse {
  readonly courseId: string;
  readonly spec: TreeSpec;
  /** Path of ids from unit to lesson, for each lesson. */
  readonly lessons: readonly (readonly [unit: string, module: string, lesson: string])[];
}

/** Hash of some body. */
export function bodyOf(seed: string): string {
  return toHash(createHash('sha256').update(seed).digest());
}

/** Writes a course of a shape out: titles, a number and a body hash for each lesson, no texts. */
export function makeCourse([units, modules, lessons]: Shape): BenchCourse {
  const paths: (readonly [string, string, string])[] = [];
  const many = (n: number, each: (i: number) => TreeSpec): TreeSpec[] => Array.from({ length: n }, (_, i) => each(i));
  const courseId = newId();
  const children = many(units, (u) => {
    const unit = newId();
    const inner = many(modules, (m) => {
      const module = newId();
      const leaves = many(lessons, (l) => {
        const id = newId();
        paths.push([unit, module, id]);
        return {
          id,
          kind: 'lesson',
          fields: { title: `Lesson ${l} of module ${m}`, durationMinutes: 45 },
          body: bodyOf(id),
        };
      });
      return { id: module, kind: 'module', fields: { title: `Module ${m}` }, children: leaves };
    });
    return { id: unit, kind: 'unit', fields: { title: `Unit ${u}` }, children: inner };
  });
  return {
    courseId,
    lessons: paths,
    spec: { id: courseId, kind: 'course', fields: { title: 'A course', cefrLevel: 'B1' }, children },
  };
}

/** The service's store and operations on a database of their own. */
export interface BenchStore {
  readonly deps: Deps;
  readonly database: PgDatabase;
  /** What was written since it was last emptied. */
  readonly written: Advance[];
  close(): Promise<void>;
}

/** Makes a database with versioning's migrations on a server. */
export async function openBenchStore(server: string): Promise<BenchStore> {
  const name = `bench_versioning_${Date.now()}`;
  const admin = new pg.Client({ connectionString: server });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const migrations = fileURLToPath(new URL('../../services/versioning/prisma/migrations/', import.meta.url));
  const setUp = new pg.Client({ connectionString: url.href });
  await setUp.connect();
  for (const folder of readdirSync(migrations)
    .filter((entry) => !entry.endsWith('.toml'))
    .sort()) {
    await setUp.query(readFileSync(`${migrations}${folder}/migration.sql`, 'utf8'));
  }
  await setUp.end();
  const database = openDatabase({ url: url.href });
  const written: Advance[] = [];
  const kept = createStore(database, createOutbox());
  const store: VersioningStore = {
    ...kept,
    write: (work) =>
      kept.write((tx) =>
        work({
          ...tx,
          advance(change) {
            written.push(change);
            return tx.advance(change);
          },
        }),
      ),
  };
  const deps: Deps = { store, bodies: { check: async () => [] }, now: () => new Date(), newId };
  return {
    deps,
    database,
    written,
    async close() {
      await database.close();
      await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await admin.end();
    },
  };
}

const author = { id: 'bench', name: 'Bench' };

/** Brings a written-out course into the store: one commit on its default branch. */
export async function loadCourse(
  { deps, database }: BenchStore,
  { courseId, spec, lessons }: BenchCourse,
): Promise<void> {
  await createCourse(deps, { courseId, fields: spec.fields, source: null, author, command: null });
  const pool = new ObjectPool(deps.store.objects(courseId));
  const tree = buildTree(pool, spec);
  const objects = pool.created();
  const kinds = { node: 1, list: 2, index: 3 };
  for (let at = 0; at < objects.length; at += 5_000) {
    const part = objects.slice(at, at + 5_000);
    await database.pool.query(
      `INSERT INTO object SELECT $1, x.h, x.k, x.d, length(x.d), now() FROM unnest($2::bytea[], $3::int[], $4::bytea[]) AS x(h, k, d) ON CONFLICT DO NOTHING`,
      [
        courseId,
        part.map(({ hash }) => fromHash(hash)),
        part.map(({ type }) => kinds[type]),
        part.map(({ data }) => Buffer.from(data)),
      ],
    );
  }
  const units = spec.children?.length ?? 0;
  const counts = {
    units,
    modules: new Set(lessons.map(([, module]) => module)).size,
    lessons: lessons.length,
    assignments: 0,
  };
  await deps.store.write(async (tx) => {
    const { branch } = await tx.openBranch(courseId, '', []);
    const head = branch && (await tx.reads.commits(courseId, [branch.head])).get(branch.head);
    if (!branch || !head) throw new Error('the course was not made');
    const advance = new BranchAdvance(tx, new ObjectPool(tx.reads.objects(courseId)), {
      branch,
      head,
      isDefault: true,
    });
    const changes = { added: lessons.length, removed: 0, moved: 0, edited: 0 };
    advance.add(
      { tree, changes: [], sums: { changes, counts } },
      { author, message: 'Load', kind: 'import', at: deps.now() },
      new Map(),
    );
    await advance.write([]);
  });
  const commit = (await deps.store.course(courseId, ''))?.branch?.head ?? '';
  const ids = [...new Set(lessons.flat())];
  for (let at = 0; at < ids.length; at += 20_000) {
    await database.pool.query('INSERT INTO node_home SELECT x, $1, $2 FROM unnest($3::uuid[]) AS x', [
      courseId,
      fromHash(commit),
      ids.slice(at, at + 20_000),
    ]);
  }
  await database.pool.query('VACUUM ANALYZE');
}
