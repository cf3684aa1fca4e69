import { isIPv6 } from 'node:net';
import {
  Client,
  connectivityState as State,
  credentials,
  Metadata,
  status as Status,
  type ClientOptions,
} from '@grpc/grpc-js';

/** Where one replica of a peer listens. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** What a replica tells to whoever keeps all of them, and asks of it. */
export interface Owner {
  changed(): void;
  hasAnother(than: Replica): boolean;
}

const tickMs = 400;
/** After so many ticks without an answer a replica is taken for hung: within 2 s, or within 3.2 s while there is no other to go to. */
const missesAllowed = { withOthers: 3, alone: 6 };
/** How long a replica that cannot reach its stores is spared, while another may reach them. */
const restMs = 2_000;
const check = '/grpc.health.v1.Health/Check';
const nothing = (): Buffer => Buffer.alloc(0);

/** One replica: a connection that is kept up while anybody tells its address, and given up when nothing comes over it while calls are under way. */
export class Replica {
  /** It has said that it stops: it gets calls only while no other answers. Forgotten with the connection. */
  isLeaving = false;
  isListed = true;
  private restsUntil = -Infinity;
  private current: Client;
  private readonly calls = new Set<() => void>();
  private timer: NodeJS.Timeout | undefined;
  private hasSpoken = false;
  private isAsked = false;
  private misses = 0;

  constructor(
    private readonly place: Place,
    private readonly options: ClientOptions,
    private readonly owner: Owner,
  ) {
    this.current = this.connect();
  }

  /** Over which its calls go. */
  get client(): Client {
    return this.current;
  }

  /** Calls that have begun and not ended. */
  get underWay(): number {
    return this.calls.size;
  }

  get state(): State {
    return this.current.getChannel().getConnectivityState(false);
  }

  /** Notes a call that goes out; `giveUp` is called, at most once, when the replica hangs. Returns what ends the note. */
  begin(giveUp: () => void): () => void {
    this.calls.add(giveUp);
    if (this.timer === undefined) {
      [this.hasSpoken, this.misses] = [false, 0];
      this.tickLater();
    }
    return () => {
      this.calls.delete(giveUp);
      if (this.calls.size === 0) this.endTicks();
    };
  }

  /** Something has come from it: it lives. */
  heard(): void {
    this.hasSpoken = true;
  }

  /** Whether it has just said that it cannot reach its stores: it gets calls only while no other could do better. */
  get isResting(): boolean {
    return performance.now() < this.restsUntil;
  }

  /** It cannot reach its stores: others are asked for a while. */
  rest(): void {
    this.restsUntil = performance.now() + restMs;
  }

  close(): void {
    this.endTicks();
    this.current.close();
  }

  private endTicks(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private connect(): Client {
    const { host, port } = this.place;
    const target = isIPv6(host) ? `ipv6:[${host}]:${port}` : `ipv4:${host}:${port}`;
    // Of its own: a connection that is given up must not come back from among others' connections.
    const options = { ...this.options, 'grpc.use_local_subchannel_pool': 1 };
    const client = new Client(target, credentials.createInsecure(), options);
    // In a turn of its own here and below: owner and channel are in the middle of something.
    process.nextTick(() => this.watch(client));
    return client;
  }

  /** Keeps a connection up, and says whenever its state has changed. */
  private watch(client: Client): void {
    const channel = client.getChannel();
    const state = channel.getConnectivityState(false);
    if (state === State.SHUTDOWN || client !== this.current) return;
    if (state !== State.READY) this.isLeaving = false;
    if (state !== State.READY && !this.isListed) return this.close();
    if (state === State.IDLE) channel.getConnectivityState(true);
    channel.watchConnectivityState(state, Infinity, () => process.nextTick(() => this.watch(client)));
    this.owner.changed();
  }

  private tickLater(): void {
    this.timer = setTimeout(() => this.tick(), tickMs);
    this.timer.unref();
  }

  /** Counted in ticks instead of time, so that standing still itself this process does not take others for hung: what they said is read before the next one. */
  private tick(): void {
    if (this.hasSpoken) [this.hasSpoken, this.misses] = [false, 0];
    else if (this.isAsked) this.misses += 1;
    else this.ask();
    const allowed = this.owner.hasAnother(this) ? missesAllowed.withOthers : missesAllowed.alone;
    if (this.misses >= allowed) this.giveUp();
    else this.tickLater();
  }

  private ask(): void {
    const client = this.current;
    this.isAsked = true;
    const deadline = Date.now() + 2 * missesAllowed.alone * tickMs;
    client.makeUnaryRequest(check, nothing, nothing, null, new Metadata(), { deadline }, (error) => {
      if (client !== this.current) return;
      this.isAsked = false;
      if (error === null || error.code === Status.UNIMPLEMENTED) this.heard();
    });
  }

  /** Ends what is under way and connects anew: that stands once the peer speaks again. */
  private giveUp(): void {
    const [old, calls] = [this.current, [...this.calls]];
    this.calls.clear();
    this.endTicks();
    this.isAsked = false;
    this.isLeaving = false;
    this.current = this.connect();
    for (const giveUp of calls) giveUp();
    old.close();
  }
}
