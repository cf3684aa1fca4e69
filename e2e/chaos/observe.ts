import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { ChaosSystem } from './chaos-system.js';
import type { Mark, TrailRow } from './trail.js';

/** The services that take events of versioning. */
export const consumers = ['catalog', 'review', 'deployment'] as const;

const LOOK_MS = 100;
const ANSWER_MS = 1_000;
/** A busy machine is slow to answer; what hangs is silent for longer. */
const READY_MS = 3_000;

/** A connection to a service's database as the owner of its tables, made anew whenever it was lost. */
export class Look {
  private client: pg.Client | undefined;

  constructor(
    private readonly postgres: string,
    private readonly service: string,
    private readonly answerMs = 30_000,
  ) {}

  async rows<T extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<T[]> {
    const client = (this.client ??= await this.connect());
    try {
      return (await client.query<T>(text, [...values])).rows;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    // Of a server that hangs nobody hears the end.
    void client?.end().catch(() => undefined);
  }

  private async connect(): Promise<pg.Client> {
    const url = new URL(this.postgres);
    url.pathname = `/cw_${this.service}`;
    const client = new pg.Client({
      connectionString: url.href,
      connectionTimeoutMillis: this.answerMs,
      query_timeout: this.answerMs,
    });
    client.on('error', () => (this.client = undefined));
    await client.connect();
    return client;
  }
}

const TRAIL = `
  CREATE TABLE IF NOT EXISTS chaos_trail (
    n bigserial PRIMARY KEY, tab text NOT NULL, course uuid NOT NULL, value text NOT NULL, line text NOT NULL,
    who text NOT NULL DEFAULT current_setting('application_name')
  );
  CREATE INDEX IF NOT EXISTS chaos_trail_course ON chaos_trail (course);
  CREATE OR REPLACE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
  DECLARE
    it jsonb := to_jsonb(NEW);
  BEGIN
    IF TG_TABLE_NAME = 'inbox' THEN
      IF TG_OP = 'UPDATE' AND (to_jsonb(OLD) ->> 'parked_at') IS DISTINCT FROM (it ->> 'parked_at') THEN RETURN NULL; END IF;
      INSERT INTO chaos_trail (tab, course, value, line)
        VALUES ('inbox', NEW.course_id, it ->> 'seq', (it ->> 'source') || ' ' || (it ->> 'epoch'));
    ELSIF TG_TABLE_NAME = 'outbox' THEN
      INSERT INTO chaos_trail (tab, course, value, line) VALUES ('outbox', NEW.course_id, it ->> 'seq', '');
    ELSIF TG_TABLE_NAME = 'import' THEN
      INSERT INTO chaos_trail (tab, course, value, line) VALUES ('import', NEW.course_id, it ->> 'token', it ->> 'id');
    ELSE
      INSERT INTO chaos_trail (tab, course, value, line)
        VALUES (TG_TABLE_NAME, NEW.course_id, coalesce(it ->> 'commit', it -> 'shown' ->> 'head'), coalesce(it ->> 'kind', ''));
    END IF;
    RETURN NULL;
  END $$;`;

const CHANGED = 'INSERT OR UPDATE';
const WATCHED = [
  ['versioning', 'outbox', 'UPDATE OF sent_at'],
  ['content', 'import', 'UPDATE'],
  ['catalog', 'inbox', CHANGED],
  ['catalog', 'course_card', CHANGED],
  ['review', 'inbox', CHANGED],
  ['review', 'course_head', CHANGED],
  ['deployment', 'inbox', CHANGED],
] as const;
const TRAILED = ['versioning', 'content', ...consumers] as const;

/** Makes databases write down every change of an inbox, of what is shown as the head of a course, of imports, and of which events are sent, and by which process. */
export async function layTrails(postgres: string): Promise<void> {
  for (const service of TRAILED) {
    const look = new Look(postgres, service);
    await look.rows(TRAIL);
    for (const [, table, change] of WATCHED.filter(([owner]) => owner === service))
      await look.rows(
        `CREATE OR REPLACE TRIGGER chaos_trail AFTER ${change} ON "${table}" FOR EACH ROW EXECUTE FUNCTION chaos_note()`,
      );
    await look.close();
  }
}

/** What the trails say of these courses. */
export async function readTrails(postgres: string, courses: readonly string[]): Promise<TrailRow[]> {
  const rows: TrailRow[] = [];
  for (const consumer of TRAILED) {
    const look = new Look(postgres, consumer);
    const found = await look.rows<{ tab: string; course: string; value: string; line: string; who: string }>(
      'SELECT tab, course, value, line, who FROM chaos_trail WHERE course = ANY($1::uuid[]) ORDER BY n',
      [courses],
    );
    rows.push(...found.map(({ tab, ...row }) => ({ consumer, table: tab, ...row })));
    await look.close();
  }
  return rows;
}

/** Looks, ten times a second, how far the source and the consumers of events are, and whether each process is ready. */
export class Observer {
  readonly marks: Mark[] = [];
  private notReady: { at: number; what: string } = { at: 0, what: '' };
  private readyLooks = 0;
  private firstReady = Infinity;
  private isOver = false;
  private readonly work: Promise<unknown>;

  constructor(
    private readonly system: ChaosSystem,
    private readonly courses: readonly string[],
  ) {
    const { postgres } = system.facts.servers;
    this.work = Promise.all([
      this.every(
        this.markOf(
          postgres,
          'versioning',
          'SELECT course_id AS course, n::int AS seq FROM course_seq WHERE course_id = ANY($1)',
        ),
      ),
      ...consumers.map((consumer) =>
        this.every(
          this.markOf(
            postgres,
            consumer,
            `SELECT course_id AS course, seq::int AS seq FROM inbox WHERE source = 'versioning' AND course_id = ANY($1)`,
          ),
        ),
      ),
      this.every(() => this.askReady()),
    ]);
  }

  /** When something was last seen that is not ready, and what; at 0 when nothing ever was. */
  get lastNotReady(): { readonly at: number; readonly what: string } {
    return this.notReady;
  }

  /** From now on readiness counts: how it was before is forgotten. */
  countAnew(): void {
    this.readyLooks = 0;
  }

  /** Looks at readiness since the last one that found something. */
  get looksSinceReady(): number {
    return this.readyLooks;
  }

  /** The first of those looks; never, when there is none. */
  get readySince(): number {
    return this.readyLooks === 0 ? Infinity : this.firstReady;
  }

  async close(): Promise<void> {
    this.isOver = true;
    await this.work;
  }

  private async every(look: () => Promise<void>): Promise<void> {
    while (!this.isOver) {
      const begun = performance.now();
      // What cannot be seen now is seen later.
      await look().catch(() => undefined);
      await sleep(Math.max(10, LOOK_MS - (performance.now() - begun)));
    }
  }

  private markOf(postgres: string, who: string, text: string): () => Promise<void> {
    const look = new Look(postgres, who, ANSWER_MS);
    return async () => {
      if (this.isOver) return look.close();
      const rows = await look.rows<{ course: string; seq: number }>(text, [this.courses]);
      const at = performance.now();
      for (const { course, seq } of rows) this.marks.push({ at, who, course, seq });
    };
  }

  private async askReady(): Promise<void> {
    const states = await Promise.all(
      Object.entries(this.system.facts.processes).map(async ([name, { ops, url }]) => {
        try {
          const answer = await fetch(`${ops ?? url}/readyz`, { signal: AbortSignal.timeout(READY_MS) });
          const { status, checks } = (await answer.json()) as { status: string; checks?: Record<string, string> };
          const down = Object.entries(checks ?? {}).filter(([, state]) => state !== 'up');
          return status === 'ready' ? '' : `${name} ${status} (${down.map(([check]) => check).join(', ')})`;
        } catch {
          return `${name} silent`;
        }
      }),
    );
    const what = states.filter((state) => state !== '').join(', ');
    if (what === '') {
      if (this.readyLooks === 0) this.firstReady = performance.now();
      this.readyLooks += 1;
    } else {
      this.readyLooks = 0;
      this.notReady = { at: performance.now(), what };
    }
  }
}
