import { AppError } from '@coursewright/platform/errors';
import type { NewEvent } from '@coursewright/platform/event';
import type { Outbox } from '@coursewright/platform/outbox';
import { rememberCommand, takeCommand } from '@coursewright/platform/requests';
import type { Command } from '@coursewright/platform/rpc-call';
import type { Database, Sql, Statement } from '@coursewright/platform/sql';
import { emptyReport, type ImportReport } from '../domain/import-report.js';
import type { Attempt, ImportJob, Imports } from '../operations/ports.js';
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
  by_platform: boolean;
  done: number;
  total: number | null;
  commit: string | null;
  report: ImportReport;
  error: ImportJob['error'];
  token: number;
  attempts: number;
  started_at: Date;
  finished_at: Date | null;
  revision: number;
  source_id: string | null;
  base_import: string | null;
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
    sourceId: row.source_id,
    baseImport: row.base_import,
    startedBy: { sub: row.started_by, ...(row.started_by_name === null ? {} : { name: row.started_by_name }) },
    byPlatform: row.by_platform,
    done: row.done,
    total: row.total,
    commit: row.commit,
    report: row.report,
    error: row.error,
    token: row.token,
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

/** Whether the archive of a client's key is on its way to this service. */
export async function isUploading(sql: Sql, actor: string, key: string): Promise<boolean> {
  return (await sql.rows(statements.openUpload, [actor, key])).length > 0;
}

/** A command whose fingerprint knows the archive too: the gateway's is made of what comes before the bytes. */
function withArchive(command: Command | undefined, sha256: string): Command | undefined {
  return command && { ...command, fingerprint: archiveFingerprint(command, sha256) };
}

function archiveFingerprint(command: Command, sha256: string): string {
  return `${command.fingerprint}/${sha256}`;
}

type Uploads = Pick<Imports, 'beginUpload' | 'keepUpload' | 'endUpload' | 'forgetUploads'>;

/** Which keyed uploads are under way. */
function uploads(database: Database): Uploads {
  return {
    beginUpload: ({ id, ms }, actor, command) =>
      database.tx(async (sql) => {
        const [used] = await sql.rows<{ fingerprint: string }>(statements.usedKey, [actor.sub, command.id]);
        if (used !== undefined && !used.fingerprint.startsWith(archiveFingerprint(command, '')))
          throw new AppError('unprocessable', 'IDEMPOTENCY_KEY_REUSED');
        const begun = await sql.rows(statements.beginUpload, [actor.sub, command.id, id, ms]);
        if (begun.length === 0) throw new AppError('conflict', 'IN_PROGRESS', { retryAfterSeconds: 1 });
      }),

    async keepUpload({ id, ms }) {
      await database.rows(statements.keepUpload, [id, ms]);
    },

    async endUpload(id) {
      await database.rows(statements.endUpload, [id]);
    },

    async forgetUploads() {
      await database.rows(statements.forgetUploads);
    },
  };
}

/** The imports in PostgreSQL. */
export function createImportStore(database: Database, outbox: Outbox): Imports {
  /** Whether a statement of an attempt found it to be the last one still. */
  const held = async (statement: Statement, attempt: Attempt, ...values: unknown[]): Promise<boolean> =>
    (await database.rows(statement, [attempt.id, attempt.token, ...values])).length > 0;
  return {
    ...uploads(database),

    create: (job, actor, sent) =>
      database.tx(async (sql) => {
        const command = withArchive(sent, job.sha256);
        const known = await takeCommand(sql, actor, command);
        const id = known.state === 'done' ? String(known.result['importId']) : job.id;
        if (known.state === 'fresh') {
          const { sub, name } = job.startedBy;
          await sql.rows(statements.insert, [
            ...[job.id, job.format, job.mediaType, job.courseId, job.newCourse, sub, name ?? null, job.byPlatform],
            ...[JSON.stringify(emptyReport()), job.spoolId, job.sha256],
          ]);
          await rememberCommand(sql, actor, command, { importId: job.id });
        }
        const made = await find(sql, id);
        if (!made) throw new Error(`import ${id} is not there`);
        return { job: made, replayed: known.state === 'done' };
      }),

    find: (id) => find(database, id),

    async claim({ holder, spoolId, ms, except, onlyFresh }) {
      const [row] = await database.rows<ImportRow>(statements.claim, [holder, ms, spoolId, except, onlyFresh]);
      return row && jobOf(row);
    },

    renew: (attempt, leaseMs) => held(statements.renew, attempt, leaseMs),

    holds: (attempt) => held(statements.holds, attempt),

    release: (attempt, delayMs) => held(statements.release, attempt, delayMs),

    steps: (id) => database.rows<{ ordinal: number; commit: string }>(statements.steps, [id]),

    saveStep: ({ id, token }, step, { done, report }) =>
      database.tx(async (sql) => {
        const kept = await sql.rows(statements.progress, [id, token, done, JSON.stringify(report)]);
        if (kept.length === 0) return false;
        await sql.rows(statements.insertStep, [id, step.ordinal, step.commit]);
        return true;
      }),

    saveStart: (attempt, { commit, sourceId, baseImport }) =>
      database.tx(async (sql) => {
        await sql.rows(statements.startLock, [attempt.id, sourceId]);
        if ((await sql.rows(statements.startedBeside, [attempt.id, sourceId, baseImport])).length > 0) return 'busy';
        const values = [attempt.id, attempt.token, commit, sourceId, baseImport];
        return (await sql.rows(statements.start, values)).length > 0 ? 'saved' : 'superseded';
      }),

    async lastOfSource({ courseId, format }, sourceId) {
      const [row] = await database.rows<{ id: string }>(statements.lastOfSource, [courseId, format, sourceId]);
      return row?.id;
    },

    async hasUnknownSource({ courseId, format }) {
      return (await database.rows(statements.unknownSource, [courseId, format])).length > 0;
    },

    finish: (job, { commit, done, report }) =>
      database.tx(async (sql) => {
        const values = [job.id, job.token, commit, done, JSON.stringify(report)];
        const [row] = await sql.rows<{ finished_at: Date }>(statements.finish, values);
        // Somebody else has it, or has ended it: then its event is theirs too.
        if (row) await sql.rows(statements.dropParts, [job.id]);
        if (row) await outbox.enqueue(sql, [importFinished(job, { commit, report, at: row.finished_at })]);
        return row !== undefined;
      }),

    fail: (attempt, error, report) => held(statements.fail, attempt, JSON.stringify(error), JSON.stringify(report)),

    async failedLongAgo(after, limit) {
      const rows = await database.rows<ImportRow>(statements.failedLongAgo, [after === '' ? null : after, limit]);
      return rows.map(jobOf);
    },

    async forget(id) {
      await database.rows(statements.forget, [id]);
    },
  };
}
