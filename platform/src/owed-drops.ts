import type { Leases } from './leases.js';
import type { Logger } from './logger.js';
import type { Database, TxSql } from './sql.js';

// Rows that somebody else is deleting are left to them: nobody waits for anybody here. Should that fail, the next look finds them.
const deletion = (ids: string): string =>
  `DELETE FROM owed_drop WHERE id IN (SELECT id FROM owed_drop WHERE id = ANY(${ids}::bigint[]) FOR UPDATE SKIP LOCKED)`;

const statements = {
  owe: {
    name: 'owed_drop_owe',
    text: `WITH gone AS (${deletion('$2')}) INSERT INTO owed_drop (tags) VALUES ($1::text[]) RETURNING id`,
  },
  list: { name: 'owed_drop_list', text: 'SELECT id, tags FROM owed_drop ORDER BY id LIMIT 1000' },
  paid: { name: 'owed_drop_paid', text: deletion('$1') },
  // While nothing can be paid rows would pile up: many become one, by whoever comes first.
  fold: {
    name: 'owed_drop_fold',
    text: `WITH folded AS (DELETE FROM owed_drop WHERE id IN
             (SELECT id FROM owed_drop ORDER BY id LIMIT 5000 FOR UPDATE SKIP LOCKED) RETURNING tags)
           INSERT INTO owed_drop (tags) SELECT array_agg(DISTINCT tag) FROM folded, unnest(tags) AS tag HAVING count(*) > 0`,
  },
};

interface OwedRow {
  readonly id: number;
  readonly tags: readonly string[];
}

export interface OwedDropsOptions {
  readonly database: Database;
  readonly leases?: Leases | undefined;
  readonly logger: Logger;
  /** Drops tags in the cache. Throws when it does not answer. */
  readonly drop: (tags: readonly string[]) => Promise<void>;
}

const lookEveryMs = 200;
/** Rows that were paid go with the next transaction that owes something, which costs nothing, or after so long without one. */
const restMs = 100;
const againMs = 100;
const foldFrom = 500;
const mostRows = 1_000;
/** Whoever has not been able to look for so long does not know what is owed. */
const knownForMs = 3_000;

/**
 * Drops that the cache is owed, kept in the database from the transaction of the effect until they were paid: a crash, a restart or an
 * outage of the cache leaves them there for whoever sees them next. What is owed here is known at once, what others owe with the next heartbeat.
 */
export class OwedDrops {
  private readonly open = new WeakMap<TxSql, Set<string>>();
  /** Of this process, committed since the last look began and not yet paid. */
  private readonly own = new Map<number, readonly string[]>();
  /** In the database at the last look. */
  private seen: readonly OwedRow[] = [];
  private blocked = new Set<string>();
  /** More is owed than one look shows. */
  private isAllBlocked = false;
  /** Paid while a look is under way, which may still show them. */
  private readonly paid = new Set<number>();
  /** Paid, and their rows still there. */
  private readonly settled = new Set<number>();
  private rest: NodeJS.Timeout | undefined;
  private knownAt = -Infinity;
  private paying = false;
  private looking: Promise<void> | undefined;
  private stopped = false;
  private readonly timer: NodeJS.Timeout | undefined;
  private again: NodeJS.Timeout | undefined;

  constructor(private readonly options: OwedDropsOptions) {
    if (options.leases === undefined) this.timer = setInterval(() => void this.look(), lookEveryMs).unref();
    else
      options.leases.ask({
        name: 'owed_drop',
        sql: 'EXISTS (SELECT FROM owed_drop)',
        onAnswer: (isOwed, asOf) => (isOwed ? void this.look() : this.nothingIsOwed(asOf)),
      });
    void this.look();
  }

  /** Owes drops in the transaction of what they follow from: one row for all of its tags. */
  owe(sql: TxSql, tags: readonly string[]): void {
    const known = this.open.get(sql);
    const all = known ?? new Set<string>();
    for (const tag of tags) all.add(tag);
    if (known !== undefined || all.size === 0) return;
    this.open.set(sql, all);
    let id = 0;
    let gone: readonly number[] = [];
    sql.beforeCommit(async () => {
      gone = [...this.settled];
      const [row] = await sql.rows<{ id: number }>(statements.owe, [[...all], gone]);
      id = row!.id;
    });
    sql.afterCommit(() => {
      for (const one of gone) this.forget(one);
      this.own.set(id, [...all]);
      for (const tag of all) this.blocked.add(tag);
      void this.pay();
    });
  }

  /** Whether entries under these tags may be served: nothing of them is owed, as far as was known since a moment (performance.now()). */
  isSettled(tags: readonly string[], since: number): boolean {
    const now = performance.now();
    const isKnown = this.knownAt >= since && now - this.knownAt < knownForMs;
    return isKnown && !this.isAllBlocked && !tags.some((tag) => this.blocked.has(tag));
  }

  /** The heartbeat found nothing, as of a moment. */
  private nothingIsOwed(asOf: number): void {
    if (this.stopped || this.looking !== undefined || asOf < this.knownAt) return;
    this.seen = [];
    this.isAllBlocked = false;
    this.block();
    this.knownAt = asOf;
  }

  /** Looks at once: the cache is there again. */
  async look(): Promise<void> {
    this.looking ??= this.lookNow().finally(() => (this.looking = undefined));
    await this.looking;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    clearTimeout(this.again);
    await this.looking;
    await this.deleteSettled();
  }

  private async lookNow(): Promise<void> {
    if (this.stopped) return;
    const started = performance.now();
    this.paid.clear();
    const before = [...this.own.keys()];
    try {
      const rows = await this.options.database.rows<OwedRow>(statements.list);
      this.seen = rows.filter((row) => !this.paid.has(row.id) && !this.settled.has(row.id));
      // What was committed before is among the rows, folded into one of them, or paid by somebody; all of it is blocked when there are more.
      for (const id of before) this.own.delete(id);
      this.isAllBlocked = rows.length >= mostRows;
      this.block();
      this.knownAt = started;
      if (rows.length >= foldFrom) await this.options.database.rows(statements.fold);
    } catch (error) {
      if (performance.now() - this.knownAt > knownForMs)
        this.options.logger.debug({ reason: String(error) }, 'what is owed to the cache is not known');
    }
    void this.pay();
  }

  private block(): void {
    this.blocked = new Set([...this.own.values(), ...this.seen.map((row) => row.tags)].flat());
  }

  /** Pays all that is owed, what comes meanwhile too; tries again in a moment when the cache does not answer. */
  private async pay(): Promise<void> {
    if (this.paying) return;
    this.paying = true;
    try {
      while (!this.stopped && (this.own.size > 0 || this.seen.length > 0)) await this.payOnce();
    } catch {
      clearTimeout(this.again);
      if (!this.stopped) this.again = setTimeout(() => void this.pay(), againMs).unref();
    } finally {
      this.paying = false;
    }
  }

  private async payOnce(): Promise<void> {
    const ids = [...new Set([...this.own.keys(), ...this.seen.map((row) => row.id)])];
    await this.options.drop([...this.blocked]);
    for (const id of ids) {
      if (this.looking !== undefined) this.paid.add(id);
      this.settled.add(id);
      this.own.delete(id);
    }
    this.seen = this.seen.filter((row) => !this.settled.has(row.id));
    this.block();
    clearTimeout(this.rest);
    this.rest = setTimeout(() => void this.deleteSettled(), restMs).unref();
  }

  /** Deletes rows that were paid. When the database does not answer they are found again, and paid again. */
  private async deleteSettled(): Promise<void> {
    clearTimeout(this.rest);
    const ids = [...this.settled];
    if (ids.length === 0) return;
    try {
      await this.options.database.rows(statements.paid, [ids]);
    } catch (error) {
      this.options.logger.debug({ reason: String(error) }, 'what was paid to the cache is still written down');
    }
    for (const id of ids) this.forget(id);
  }

  /** A look that is under way may have seen the row before it was deleted. */
  private forget(id: number): void {
    this.settled.delete(id);
    if (this.looking !== undefined) this.paid.add(id);
  }
}
