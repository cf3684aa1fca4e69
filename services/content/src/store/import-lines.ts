import type { Database, Sql } from '@coursewright/platform/sql';
import type { ImportReport, KeptPart, Loss, ReportLines } from '../domain/import-report.js';
import type { ImportLines, StoredAsset } from '../operations/file-ports.js';
import type { SourcePart } from '../domain/source-parts.js';
import type { Attempt } from '../operations/ports.js';

/** An attempt that no other claim has followed. */
const ATTEMPT = `EXISTS (SELECT FROM "import" WHERE id = $1::uuid AND token = $2::bigint AND state = 'running')`;

const statements = {
  holds: { name: 'import_lines_hold', text: `SELECT 1 AS one WHERE ${ATTEMPT}` },
  addLosses: {
    name: 'import_loss_add',
    text: `INSERT INTO import_loss (import_id, ordinal, source, what, kept)
           SELECT $1::uuid, * FROM unnest($2::int[], $3::text[], $4::text[], $5::boolean[])
           ON CONFLICT DO NOTHING`,
  },
  addKept: {
    name: 'import_kept_add',
    text: `INSERT INTO import_kept (import_id, ordinal, kind, source, value, hash, bytes, type)
           SELECT $1::uuid, * FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[])
           ON CONFLICT DO NOTHING`,
  },
  // The same bytes under two names are one file, of the name by which they came first.
  addAssets: {
    name: 'asset_add',
    text: `INSERT INTO asset (course_id, hash, name, type, bytes, created_by, created_at)
           SELECT i.course_id, f.hash, f.name, f.type, f.bytes, i.started_by, now()
           FROM "import" i, unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) AS f(hash, name, type, bytes)
           WHERE i.id = $1::uuid
           ON CONFLICT DO NOTHING`,
  },
  addParts: {
    name: 'import_part_add',
    text: `INSERT INTO import_part (import_id, ordinal, key, node_id, kind, parent, marks, items, objectives)
           SELECT $1::uuid, * FROM unnest($2::int[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
           ON CONFLICT DO NOTHING`,
  },
  parts: {
    name: 'import_part_list',
    text: `SELECT ordinal, key, node_id::text AS node_id, kind, parent, marks, items, objectives FROM import_part
           WHERE import_id = $1::uuid AND ordinal > $2::int ORDER BY ordinal LIMIT $3::int`,
  },
  losses: {
    name: 'import_loss_list',
    text: `SELECT ordinal, source, what, kept FROM import_loss WHERE import_id = $1::uuid AND ordinal >= $2::int
           ORDER BY ordinal LIMIT $3::int`,
  },
  kept: {
    name: 'import_kept_list',
    text: `SELECT ordinal, kind, source, value, hash, bytes, type FROM import_kept WHERE import_id = $1::uuid AND ordinal >= $2::int
           ORDER BY ordinal LIMIT $3::int`,
  },
  asset: {
    name: 'asset_find',
    text: 'SELECT hash, name, type, bytes FROM asset WHERE course_id = $1::uuid AND hash = $2::text',
  },
  coursesOf: {
    name: 'asset_courses',
    text: 'SELECT course_id::text AS course_id FROM asset WHERE hash = $1::text ORDER BY course_id LIMIT $2::int',
  },
};

interface KeptRow {
  ordinal: number;
  kind: KeptPart['kind'];
  source: string;
  value: string | null;
  hash: string | null;
  bytes: number | null;
  type: string | null;
}

interface PartRow extends Omit<SourcePart, 'marks' | 'nodeId'> {
  ordinal: number;
  node_id: string;
  marks: string;
}

/** The lines of imports' reports, and the files that belong to courses, in PostgreSQL. */
export function createImportLines(database: Database): ImportLines {
  return {
    save: (attempt, lines) => database.tx((sql) => save(sql, attempt, lines)),

    async losses({ id, report }, page) {
      const rows = await database.rows<Loss & { ordinal: number }>(statements.losses, [id, page.from, page.limit]);
      return rows.length > 0 || hasLines(report) ? rows : listedIn(report, page);
    },

    async kept(id, { from, limit }) {
      const rows = await database.rows<KeptRow>(statements.kept, [id, from, limit]);
      return rows.map((row) => ({ ordinal: row.ordinal, part: partOf(row) }));
    },

    async parts(id, after, limit) {
      const rows = await database.rows<PartRow>(statements.parts, [id, after, limit]);
      return rows.map(({ ordinal, node_id: nodeId, marks, ...part }) => ({
        ordinal,
        part: { ...part, nodeId, marks: JSON.parse(marks) as Record<string, string> },
      }));
    },

    async asset(courseId, hash) {
      const [row] = await database.rows<StoredAsset>(statements.asset, [courseId, hash]);
      return row;
    },

    async coursesOf(hash, limit) {
      const rows = await database.rows<{ course_id: string }>(statements.coursesOf, [hash, limit]);
      return rows.map(({ course_id }) => course_id);
    },
  };
}

async function save(sql: Sql, { id, token }: Attempt, { losses, kept, parts }: ReportLines): Promise<boolean> {
  if ((await sql.rows(statements.holds, [id, token])).length === 0) return false;
  if (losses.length > 0) {
    const column = <T>(value: (loss: Loss) => T): T[] => losses.map(({ loss }) => value(loss));
    const ordinals = losses.map(({ ordinal }) => ordinal);
    const texts = [column(({ source }) => source), column(({ what }) => what)];
    await sql.rows(statements.addLosses, [id, ordinals, ...texts, column((loss) => loss.kept)]);
  }
  if (kept.length > 0) {
    const rows = kept.map(({ ordinal, part }) => rowOf(ordinal, part));
    const column = <K extends keyof KeptRow>(name: K): KeptRow[K][] => rows.map((row) => row[name]);
    await sql.rows(statements.addKept, [
      ...[id, column('ordinal'), column('kind'), column('source'), column('value')],
      ...[column('hash'), column('bytes'), column('type')],
    ]);
    const files = kept.flatMap(({ part }) => (part.kind === 'file' ? [part] : []));
    if (files.length > 0) {
      const hashes = files.map(({ file }) => file.hash);
      const names = files.map(({ source }) => source.slice(source.lastIndexOf('/') + 1));
      await sql.rows(statements.addAssets, [
        ...[id, hashes, names, files.map(({ file }) => file.type)],
        files.map(({ file }) => file.bytes),
      ]);
    }
  }
  if (parts.length > 0) await saveParts(sql, id, parts);
  return true;
}

async function saveParts(sql: Sql, id: string, lines: ReportLines['parts']): Promise<void> {
  const column = <T>(value: (part: SourcePart) => T): T[] => lines.map(({ part }) => value(part));
  const ordinals = lines.map(({ ordinal }) => ordinal);
  await sql.rows(statements.addParts, [
    ...[id, ordinals, column(({ key }) => key), column(({ nodeId }) => nodeId), column(({ kind }) => kind)],
    ...[column(({ parent }) => parent), column(({ marks }) => JSON.stringify(marks ?? {}))],
    ...[column(({ items }) => items), column(({ objectives }) => objectives)],
  ]);
}

function rowOf(ordinal: number, part: KeptPart): KeptRow {
  const { kind, source } = part;
  if (part.kind === 'file') return { ordinal, kind, source, value: null, ...part.file };
  const value = part.kind === 'attributes' ? JSON.stringify(part.value) : part.value;
  return { ordinal, kind, source, value, hash: null, bytes: null, type: null };
}

function partOf({ kind, source, value, hash, bytes, type }: KeptRow): KeptPart {
  if (kind === 'file') return { kind, source, file: { hash: hash ?? '', bytes: bytes ?? 0, type: type ?? '' } };
  if (kind === 'attributes') return { kind, source, value: JSON.parse(value ?? '{}') as Record<string, string> };
  return { kind, source, value: value ?? '' };
}

/** Reports from before there were lines have the first thousand of them in themselves. */
function hasLines(report: ImportReport): boolean {
  return Object.hasOwn(report, 'keptCount');
}

function listedIn(
  report: ImportReport,
  { from, limit }: { from: number; limit: number },
): (Loss & { ordinal: number })[] {
  return report.losses.slice(from, from + limit).map((loss, i) => ({ ...loss, ordinal: from + i }));
}
