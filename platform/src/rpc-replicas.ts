import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { connectivityState as State, type ClientOptions } from '@grpc/grpc-js';
import { Replica, type Place } from './rpc-replica.js';

/** All addresses of a name, as the machine's resolver knows them. Throws when it knows none. */
export type FindHosts = (name: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

/** How often names are asked for replicas that came or went. */
const refreshMs = 5_000;
/** How soon they are asked again while one of them is unknown. */
const againMs = 1_000;
/** How long one name may take before the others go on without it. */
const lookupMs = 1_000;
const waitTurns = 4;
const usualCrowd = 16;
/** How long calls go to one replica before the next has its turn. */
const turnMs = 1_000;
const lookups = new Map<string, ReturnType<FindHosts>>();

/** One lookup of a name at a time, whoever asks: a slow one holds a thread of the process until it ends. */
const systemHosts: FindHosts = (name) => {
  const begun = lookups.get(name) ?? lookup(name, { all: true }).finally(() => lookups.delete(name));
  lookups.set(name, begun);
  return begun;
};

async function hostsOf(name: string, find: FindHosts): Promise<Awaited<ReturnType<FindHosts>>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<[]>((resolve) => (timer = setTimeout(resolve, lookupMs, [])));
  return Promise.race([find(name), late])
    .catch(() => [])
    .finally(() => clearTimeout(timer));
}

function splitAddress(address: string): Place {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

/**
 * Every replica of a peer whose addresses are `host:port,host:port`. A name may stand for several, one for each IPv4 address (IPv6 where there is no other);
 * `complete` is false when nobody knows one of the names just now: its container may be starting.
 */
export async function placesOf(
  addresses: string,
  find: FindHosts = systemHosts,
): Promise<{ places: Place[]; complete: boolean }> {
  const found = await Promise.all(
    addresses.split(',').map(async (one): Promise<Place[]> => {
      const { host, port } = splitAddress(one);
      if (isIP(host) !== 0) return [{ host, port }];
      const hosts = await hostsOf(host, find);
      const nearest = hosts.some(({ family }) => family === 4) ? hosts.filter(({ family }) => family === 4) : hosts;
      return nearest.map(({ address }) => ({ host: address, port }));
    }),
  );
  return { places: found.flat(), complete: found.every((places) => places.length > 0) };
}

const isFit = ({ isLeaving, isResting }: Replica): boolean => !isLeaving && !isResting;

/** All replicas of a peer, and which of them gets the next call. */
export class Replicas {
  private readonly known = new Map<string, Replica>();
  private readonly waiting = new Set<() => void>();
  private readonly isFixed: boolean;
  private hasLooked = false;
  private isClosed = false;
  private looking: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private turn = 0;
  private turnBegan = -Infinity;
  private justSent = 0;
  private underWay = 0;
  private crowded = 0;
  private readonly owner = {
    changed: () => this.changed(),
    hasAnother: (than: Replica) =>
      [...this.known.values()].some((replica) => replica !== than && replica.state === State.READY),
  };

  /** With more than `crowd` calls under way at the one whose turn it is, all take turns call by call. Nothing is looked up or connected before the first call. */
  constructor(
    private readonly addresses: string,
    private readonly options: ClientOptions,
    private readonly crowd = usualCrowd,
  ) {
    this.isFixed = addresses.split(',').every((one) => isIP(splitAddress(one).host) !== 0);
  }

  /**
   * The replica for the next call: round robin in turns of a second over those whose connection stands. Waits while it is not known whether there is
   * one; `away` when all are known to be away, `silent` when nothing was known within `ms`: a process that hangs takes connections and says nothing on them.
   */
  next(ms: number): Promise<Replica | 'away' | 'silent'> {
    this.looking ??= this.look();
    // Nearly always: no timer and no place in the line for what is known.
    const known = this.best();
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => {
      const end = (found: Replica | 'away' | 'silent'): void => {
        clearTimeout(timer);
        this.waiting.delete(look);
        resolve(found);
      };
      const look = (): void => {
        const found = this.best();
        if (found !== undefined) end(found);
      };
      // Several turns of the loop, as what has come while this process stood still is read after its timers.
      let turns = 0;
      const wait = (): void => {
        turns += 1;
        if (turns > waitTurns) end('silent');
        else timer = setTimeout(wait, ms / waitTurns);
      };
      let timer: NodeJS.Timeout | undefined;
      wait();
      this.waiting.add(look);
      look();
    });
  }

  /** Whether there is a replica of which nothing is known against it. */
  hasFit(): boolean {
    return [...this.known.values()].some((replica) => replica.state === State.READY && isFit(replica));
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    for (const replica of this.known.values()) replica.close();
    this.known.clear();
    this.changed();
  }

  private best(): Replica | 'away' | undefined {
    const listed = [...this.known.values()].filter(({ isListed }) => isListed);
    const standing = listed.filter(({ state }) => state === State.READY);
    const fit = standing.filter(isFit);
    const staying = standing.filter(({ isLeaving }) => !isLeaving);
    const from = [fit, staying].find((some) => some.length > 0) ?? standing;
    if (from.length > 0) return this.inTurn(from);
    const noneThere = this.hasLooked && listed.every(({ state }) => state === State.TRANSIENT_FAILURE);
    return this.isClosed || noneThere ? 'away' : undefined;
  }

  /**
   * What comes together is worked off together: one wake-up, one transaction, one command to a store for many calls. Call by call in turn,
   * two replicas on one machine paid these twice, and a save cost half as much again as with one. So all calls go to one replica for a
   * second, then to the next: evenly enough, and each stays warm. Calls that one replica would have to queue are spread over all.
   */
  private inTurn(from: readonly Replica[]): Replica {
    const isFirst = this.justSent === 0;
    const now = performance.now();
    if (isFirst && now - this.turnBegan >= turnMs) [this.turn, this.turnBegan] = [this.turn + 1, now];
    const current = from[this.turn % from.length]!;
    // Of the calls of one turn of the event loop some are under way when the next one asks, and others not yet: what was before them counts.
    if (isFirst) {
      this.underWay = current.underWay;
      setImmediate(() => (this.justSent = 0));
    }
    this.justSent += 1;
    if (this.underWay + this.justSent <= this.crowd) return current;
    return from[this.crowded++ % from.length]!;
  }

  private changed(): void {
    for (const look of [...this.waiting]) look();
  }

  private async look(): Promise<void> {
    const { places, complete } = await placesOf(this.addresses);
    if (this.isClosed) return;
    if (places.length > 0) this.list(places);
    this.hasLooked = true;
    this.changed();
    if (this.isFixed) return;
    this.timer = setTimeout(() => void this.look(), complete ? refreshMs : againMs);
    this.timer.unref();
  }

  /** Takes in who is new. Who is not told any more ends what it has begun: it goes with its connection. */
  private list(places: readonly Place[]): void {
    const told = new Set<string>();
    for (const place of places) {
      const key = `${place.host} ${place.port}`;
      told.add(key);
      const present = this.known.get(key);
      if (present) present.isListed = true;
      else this.known.set(key, new Replica(place, this.options, this.owner));
    }
    for (const [key, replica] of this.known) {
      if (told.has(key)) continue;
      replica.isListed = false;
      this.known.delete(key);
      if (replica.state !== State.READY) replica.close();
    }
  }
}
