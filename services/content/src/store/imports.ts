import type { NewEvent } from '@coursewright/platform/event';
import type { Outbox } from '@coursewright/platform/outbox';
import { rememberCommand, takeCommand } from '@coursewright/platform/requests';
import type { Database, Sql } from '@coursewright/platform/sql';
import { emptyReport, type ImportReport } from '../domain/import-report.js';
import type { ImportJob, Imports } from '../operations/ports.js';
import { importStatements as statements } from './import-statements.js';

interface ImportRow {
  id: string;
  format: string;
  media_type: string;
  state: ImportJob['state'];
  course_id: string;
  new_course: boolean;
  start_commit: string | null;
  started_by: string;
  started_by_name: string | null;
  done: number;
  total: number | null;
  commit: string | null;
  report: ImportReport;
  error: ImportJob['error'];
  attempts: number;
  started_at: Date;
  finished_at: Date | null;
  revision: number;
}

function jobOf(row: ImportRow): ImportJob {
  return {
    id: row.id,
    format: row.format,
    mediaType: row.media_type,
    state: row.state,
    courseId: row.course_id,
    newCourse: row.new_course,
    startCommit: row.start_commit,
    startedBy: { sub: row.started_by, ...(row.started_by_name === null ? {} : { name: row.started_by_name }) },
    done: row.done,
    total: row.total,
    commit: row.commit,
    report: row.report,
    error: row.error,
    attempts: row.attempts,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    revision: row.revision,
  };
}

async function find(sql: Sql, id: string): Promise<ImportJob | undefined> {
  const [row] = await sql.rows<ImportRow>(statements.find, [id]);
  return row && jobOf(row);
}

/** The event that tells of an import that ended well: `ImportFinished` of coursewright.events.v1 as proto3 JSON. */
function importFinished(job: ImportJob, result: { commit: string; report: ImportReport; at: Date }): NewEvent {
  return {
    type: 'import-finished',
    courseId: job.courseId,
    at: result.at,
    data: {
      courseId: job.courseId,
      importId: job.id,
      format: job.format,
      commit: result.commit,
      counts: result.report.counts,
      losses: result.report.lossCount,
      startedBy: job.startedBy.sub,
      at: result.at.toISOString(),
    },
  };
}

/** The imports in PostgreSQL. */
export function createImportStore(database: Database, outbox: Outbox): Imports {
  return {
    recall: (actor, command) =>
      database.tx(async (sql) => {
        const known = await takeCommand(sql, actor, command);
        return known.state === 'done' ? find(sql, String(known.result['importId'])) : undefined;
      }),

    create: (job, actor, command) =>
      database.tx(async (sql) => {
        const known = await takeCommand(sql, actor, command);
        const id = known.state === 'done' ? String(known.result['importId']) : job.id;
        if (known.state === 'fresh') {
          const { sub, name } = job.startedBy;
          await sql.rows(statements.insert, [
            ...[job.id, job.format, job.mediaType, job.courseId, job.newCourse],
            ...[sub, name ?? null, JSON.stringify(emptyReport()), job.spoolId],
          ]);
          await rememberCommand(sql, actor, command, { importId: job.id });
        }
        const made = await find(sql, id);
        if (!made) throw new Error(`import ${id} is not there`);
        return made;
      }),

    find: (id) => find(database, id),

    async claim({ holder, spoolId, ms }) {
      const [row] = await database.rows<ImportRow>(statements.claim, [holder, ms, spoolId]);
      return row && jobOf(row);
    },

    async renew(id, holder, leaseMs) {
      return (await database.rows(statements.renew, [id, holder, leaseMs])).length > 0;
    },

    async release(id, holder, delayMs) {
      await database.rows(statements.release, [id, holder, delayMs]);
    },

    steps: (id) => database.rows<{ ordinal: number; commit: string }>(statements.steps, [id]),

    saveStep: (id, step, progress) =>
      database.tx(async (sql) => {
        await sql.rows(statements.insertStep, [id, step.ordinal, step.commit]);
        await sql.rows(statements.progress, [id, progress.done, JSON.stringify(progress.report)]);
      }),

    async saveStart(id, startCommit) {
      await database.rows(statements.start, [id, startCommit]);
    },

    finish: (job, { commit, done, report }) =>
      database.tx(async (sql) => {
        const [row] = await sql.rows<{ finished_at: Date }>(statements.finish, [
          job.id,
          commit,
          done,
          JSON.stringify(report),
        ]);
        // Somebody else has ended it meanwhile: then its event is written too.
        if (row) await outbox.enqueue(sql, [importFinished(job, { commit, report, at: row.finished_at })]);
      }),

    async fail(id, error, report) {
      await database.rows(statements.fail, [id, JSON.stringify(error), JSON.stringify(report)]);
    },

    async failedLongAgo(after, limit) {
      const rows = await database.rows<ImportRow>(statements.failedLongAgo, [after === '' ? null : after, limit]);
      return rows.map(jobOf);
    },

    async forget(id) {
      await database.rows(statements.forget, [id]);
    },
  };
}
