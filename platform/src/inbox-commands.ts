import type { CourseFailure, Inbox, Round } from './inbox.js';
import type { OpsCommand } from './ops.js';
import type { Sql } from './sql.js';

const deadLetters = {
  name: 'dead_letter_list',
  text: 'SELECT id, source, course_id, seq, type, reason, created_at FROM dead_letter WHERE resolved_at IS NULL ORDER BY created_at LIMIT 200',
};

const mostFailures = 100;

/** What a round over all sources did: courses by source, and what failed where, at most a hundred of them. */
interface Report {
  readonly done: Readonly<Record<string, number>>;
  readonly failures: number;
  readonly failed: readonly (CourseFailure & { readonly source: string })[];
}

/**
 * The operators' commands over the inboxes of a service: `dead-letters`, `replay?source=&course=`, `catch-up`, and `rebuild` where there
 * are projections. A course that fails is in the answer, and the others go on.
 */
export function inboxCommands(sql: Sql, inboxes: ReadonlyMap<string, Inbox>): Record<string, OpsCommand> {
  const over = async (work: (inbox: Inbox) => Promise<Round>): Promise<Report> => {
    const done = new Map<string, number>();
    const failed: (CourseFailure & { source: string })[] = [];
    for (const [source, inbox] of inboxes) {
      try {
        const round = await work(inbox);
        done.set(source, round.done);
        failed.push(...round.failed.map((failure) => ({ source, ...failure })));
      } catch (error) {
        // The source or the database is away: the round ended before all courses had their turn.
        if (!done.has(source)) done.set(source, 0);
        failed.push({ source, courseId: '', reason: String(error) });
      }
    }
    return { done: Object.fromEntries(done), failures: failed.length, failed: failed.slice(0, mostFailures) };
  };
  return {
    'dead-letters': async () => ({ items: await sql.rows(deadLetters) }),
    async replay(query) {
      const inbox = inboxes.get(query.get('source') ?? '');
      if (inbox === undefined) return { replayed: false, reason: 'unknown source' };
      return inbox.replay(query.get('course') ?? '');
    },
    async 'catch-up'() {
      const { done: caughtUp, ...rest } = await over((inbox) => inbox.catchUpAll());
      return { caughtUp, ...rest };
    },
    ...(inboxes.size > 0
      ? {
          async rebuild() {
            const { done: rebuilt, ...rest } = await over((inbox) => inbox.rebuild());
            return { rebuilt, ...rest };
          },
        }
      : {}),
  };
}
