import type pg from 'pg';
import { newId } from './ids.js';
import { partIn, portionOf, type SharedLeases } from './lease-shares.js';
import { beatStatement, leaseStatements as statements, type BeatRow, type Question } from './lease-statements.js';
import type { Logger } from './logger.js';
import { gauge } from './metrics.js';
import type { Part } from './run.js';
import { sleepUnless } from './sleep.js';

/** What only one replica may do at a time, while this one may. */
export interface Lease {
  readonly name: string;
  /** Rises with each holder, for who reads a log. It is no fence: each write has its own (docs/decisions/0025). */
  readonly token: number;
  /** Whether the last holder ended without giving it back: what that one had under way may still come to light. */
  readonly wasLost: boolean;
  /** Aborted once the lease is lost or to be given back; the work then ends soon. */
  readonly signal: AbortSignal;
  /** Whether it is held at this very moment: ask before each step, since a process that was paused learns of it by this alone. */
  isHeld(): boolean;
}

/** Work that one replica does at a time, under one lease or several. */
export type LeasedWork = (lease: Lease) => Promise<void>;

export interface Share {
  /** Ends the work here and gives its leases back. */
  stop(): Promise<void>;
}

/** The leases of one process, with its heartbeat. */
export interface Leases extends Part {
  /**
   * Does work under each of these leases whenever this replica holds it. They are spread evenly over the living replicas that share them;
   * work that ends by itself is begun anew. Who is not able to do it just now (`isAble`) leaves it to those who are, while there are any.
   */
  share(names: readonly string[], work: LeasedWork, isAble?: () => boolean): Share;
  /** Asks the database something with each heartbeat, so that nothing else has to look again and again. Before the start only. */
  ask(question: Question): void;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface LeaseOptions {
  readonly pool: pg.Pool;
  /** Name of this replica; they are ordered by it. */
  readonly replica: string;
  readonly logger: Logger;
  readonly everyMs?: number;
  readonly ttlMs?: number;
  /** Called once nothing more is asked. */
  readonly onStopped?: () => Promise<void>;
}

const [usualEveryMs, usualTtlMs] = [1_000, 3_000];
/** This much sooner than the database a holder takes its leases for lost. */
const marginShare = 1 / 6;
const againMs = 500;
/**
 * So many heartbeats in a row another has to be better off before it gets what is held here. An outage of NATS that meets all is noticed
 * by each at its own moment, up to one interval of pings (10 s) apart.
 */
const beatsOutdone = 12;
const held = gauge('leases_held', 'Leases that this process holds', []);

interface Group extends SharedLeases {
  readonly work: LeasedWork;
  /** How many heartbeats in a row another one was able to do it, and this one was not. */
  outdone: number;
  isStopped: boolean;
}

/** A lease in this process, from its claim until its work has ended and it was given back. */
interface Holding {
  readonly group: Group;
  readonly aborter: AbortController;
  ended: Promise<void>;
}

/**
 * Leases in PostgreSQL. A replica renews one row a second, and its leases live as long as that row: three seconds after it stopped, others
 * may claim them. Time is told by the database alone; here it is counted from the moment at which a renewal was sent, by a clock that
 * goes on while the process is paused. What was once lost is never held again under the same identity: a replica that missed its time
 * comes back as a new one.
 */
export function createLeases(options: LeaseOptions): Leases {
  return new PgLeases(options);
}

class PgLeases implements Leases {
  readonly name = 'leases';
  private readonly groups: Group[] = [];
  private readonly holdings = new Map<string, Holding>();
  private readonly questions: Question[] = [];
  private readonly everyMs: number;
  private readonly ttlMs: number;
  /** What has no answer for that long is lost anyway: another connection may have one. */
  private readonly patience: { readonly query_timeout: number };
  /** Identity of this replica since it last registered; undefined when its time was missed. */
  private id: string | undefined;
  private validUntil = -Infinity;
  private stopping = false;
  private isAsked = false;
  private isComplaining = false;
  private endPause: () => void = () => undefined;
  private lapse: NodeJS.Timeout | undefined;
  private loop: Promise<void> = Promise.resolve();

  constructor(private readonly options: LeaseOptions) {
    this.everyMs = options.everyMs ?? usualEveryMs;
    this.ttlMs = options.ttlMs ?? usualTtlMs;
    this.patience = { query_timeout: this.ttlMs };
  }

  ask(question: Question): void {
    this.questions.push(question);
  }

  share(names: readonly string[], work: LeasedWork, isAble = () => true): Share {
    const group: Group = { names, work, isAble, outdone: 0, isStopped: false };
    this.groups.push(group);
    this.beatSoon();
    return {
      stop: async () => {
        group.isStopped = true;
        this.groups.splice(this.groups.indexOf(group), 1);
        const own = [...this.holdings.values()].filter((holding) => holding.group === group);
        for (const { aborter } of own) aborter.abort();
        await Promise.all(own.map(({ ended }) => ended));
      },
    };
  }

  async start(): Promise<void> {
    this.loop = this.run();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.endPause();
    await this.loop;
    this.dropAll();
    await Promise.all([...this.holdings.values()].map(({ ended }) => ended));
    clearTimeout(this.lapse);
    if (this.id !== undefined)
      await this.options.pool.query({ ...statements.leave, values: [this.id] }).catch(() => undefined);
    this.id = undefined;
    await this.options.onStopped?.();
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      this.isAsked = false;
      try {
        await this.beat();
        this.isComplaining = false;
      } catch (error) {
        if (!this.isComplaining) this.options.logger.warn({ reason: String(error) }, 'leases cannot be renewed');
        this.isComplaining = true;
      }
      if (!this.stopping && !this.isAsked) await this.pause(this.everyMs);
    }
  }

  private beatSoon(): void {
    this.isAsked = true;
    this.endPause();
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async beat(): Promise<void> {
    const sentAt = performance.now();
    this.id ??= await this.register();
    const { rows } = await this.options.pool.query<BeatRow>({
      ...beatStatement(this.questions),
      ...this.patience,
      values: [this.id, this.ttlMs, this.groups.map(partIn)],
    });
    const row = rows[0] as BeatRow;
    // An answer that comes too late does not bring back what was lost meanwhile.
    if (!row.alive || this.hasLapsed()) {
      this.options.logger.warn({ alive: row.alive }, 'leases were lost: their time was missed');
      this.id = undefined;
      this.dropAll();
      this.beatSoon();
      return;
    }
    this.prolong(sentAt);
    this.questions.forEach(({ onAnswer }, i) => onAnswer(row.answers[i] === true, sentAt));
    await this.takeAndGive(row);
  }

  private async register(): Promise<string> {
    const sentAt = performance.now();
    const id = newId();
    await this.options.pool.query({
      ...statements.register,
      ...this.patience,
      values: [id, this.options.replica, this.ttlMs],
    });
    this.validUntil = -Infinity;
    this.prolong(sentAt);
    return id;
  }

  private prolong(sentAt: number): void {
    this.validUntil = sentAt + this.ttlMs * (1 - marginShare);
    clearTimeout(this.lapse);
    this.lapse = setTimeout(() => this.dropAll(), Math.max(0, this.validUntil - performance.now()));
    this.lapse.unref();
  }

  private hasLapsed(): boolean {
    return performance.now() >= this.validUntil;
  }

  /** Begins what falls to this replica, and ends what no longer does. */
  private async takeAndGive(row: BeatRow): Promise<void> {
    const id = this.id as string;
    const others = new Set(row.others.map(([other]) => other));
    const holders = new Map(row.leases);
    const wanted = new Map<string, Group>();
    for (const group of this.groups) {
      const portion = portionOf(group, { id, name: this.options.replica }, row.others);
      group.outdone = portion === undefined ? group.outdone + 1 : 0;
      // After an outage that met all another may be ahead by a moment: nothing is moved about for that.
      if (group.outdone > 0 && group.outdone < beatsOutdone) continue;
      for (const name of group.names) {
        const isOurs = portion?.has(name) ?? false;
        const holding = this.holdings.get(name);
        if (holding && !isOurs) holding.aborter.abort();
        const isFree = !others.has(holders.get(name) ?? '');
        if (isOurs && isFree && !holding) wanted.set(name, group);
      }
    }
    if (wanted.size === 0 || this.stopping) return;
    const names = [...wanted.keys()].sort();
    const { rows } = await this.options.pool.query<{ name: string; token: number }>({
      ...statements.claim,
      ...this.patience,
      values: [id, names],
    });
    for (const { name, token } of rows) {
      const holder = holders.get(name);
      const group = wanted.get(name) as Group;
      if (!group.isStopped) this.hold(group, { id, name, token, wasLost: holder !== undefined && holder !== id });
      else await this.giveBack(id, name);
    }
  }

  private hold(
    group: Group,
    { id, name, token, wasLost }: { id: string; name: string; token: number; wasLost: boolean },
  ): void {
    const aborter = new AbortController();
    const { signal } = aborter;
    const isHeld = (): boolean => !signal.aborted && this.id === id && !this.hasLapsed();
    const lease: Lease = { name, token, wasLost, signal, isHeld };
    const holding: Holding = { group, aborter, ended: Promise.resolve() };
    this.holdings.set(name, holding);
    held.set(this.holdings.size);
    holding.ended = this.work(group.work, lease).then(async () => {
      // Who leaves gives all back at once.
      if (this.id === id && !this.stopping) await this.giveBack(id, name);
      this.holdings.delete(name);
      held.set(this.holdings.size);
    });
  }

  private async work(work: LeasedWork, lease: Lease): Promise<void> {
    while (!lease.signal.aborted) {
      await work(lease).catch((error: unknown) =>
        this.options.logger.warn({ err: error, lease: lease.name }, 'leased work failed'),
      );
      if (!lease.signal.aborted) await sleepUnless(lease.signal, againMs);
    }
  }

  /** When the database does not hear of it, the lease ends with this replica's time. */
  private async giveBack(id: string, name: string): Promise<void> {
    await this.options.pool.query({ ...statements.giveBack, values: [id, name] }).catch(() => undefined);
  }

  private dropAll(): void {
    for (const { aborter } of this.holdings.values()) aborter.abort();
  }
}
