import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { readConfig } from '@coursewright/platform/config';
import { createTokenMinter } from '@coursewright/platform/internal-token';
import { openChannel, type Channel } from '@coursewright/platform/rpc-client';
import { placesOf } from '@coursewright/platform/rpc-replicas';
import { eventually } from '@coursewright/platform/testing/eventually';
import { createTestKeys, type TestKeys } from '@coursewright/platform/testing/keys';
import { freePort } from './support/own-servers.js';
import type { ReplicaSetup } from './support/replica.js';

/** A replica in a process of its own. */
class Replica {
  private child: ChildProcess | undefined;
  /** Uploads that it has begun to take, over all its lives. */
  begun = 0;

  constructor(private readonly setup: ReplicaSetup) {}

  get address(): string {
    return `127.0.0.1:${this.setup.port}`;
  }

  async start(): Promise<void> {
    if (this.child?.exitCode === null && this.child.signalCode === null) return;
    this.child = fork(fileURLToPath(new URL('./support/replica.ts', import.meta.url)), [JSON.stringify(this.setup)], {
      execArgv: ['--conditions=source', '--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(this.child, 'message');
    this.child.on('message', () => (this.begun += 1));
  }

  signal(name: NodeJS.Signals): void {
    this.child!.kill(name);
  }

  async gone(): Promise<void> {
    if (this.child!.exitCode === null && this.child!.signalCode === null) await once(this.child!, 'exit');
  }
}

let keys: TestKeys;
let token: string;
let one: Replica;
let two: Replica;
/** As services open it: replicas have turns of a second. */
let channel: Channel;
/** Goes to the other replica with each call, for what has to be under way at both. */
let byCall: Channel;
let loads: Load[] = [];

beforeAll(async () => {
  keys = await createTestKeys(['gateway']);
  token = await (await createTokenMinter(keys.private['gateway']!)).mint({ sub: 'ada', roles: [], grants: [] });
  one = new Replica({ name: 'one', port: await freePort(), keys: keys.public });
  two = new Replica({ name: 'two', port: await freePort(), keys: keys.public });
}, 30_000);
beforeEach(async () => {
  await Promise.all([one.start(), two.start()]);
  [one.begun, two.begun] = [0, 0];
  channel = openChannel('peer', `${one.address},${two.address}`);
  byCall = openChannel('peer', `${one.address},${two.address}`, { crowd: 0 });
  await expectBothAnswer();
}, 30_000);
afterEach(async () => {
  for (const replica of [one, two]) replica.signal('SIGCONT');
  // Also of a test that failed: a caller without a channel would fail without end.
  await Promise.all(loads.map((load) => load.end()));
  loads = [];
  for (const open of [channel, byCall]) open.close();
});
afterAll(async () => {
  for (const replica of [one, two]) replica.signal('SIGKILL');
  await Promise.all([one.gone(), two.gone()]);
});

/** Who answers a call that may be repeated and takes so long. */
async function ask(ms: number | string = 0, over: Channel = channel): Promise<string> {
  const { result } = await over
    .client(RequestServiceDefinition)
    .recall({ fingerprint: String(ms) }, { token, deadlineMs: 10_000 });
  return String(result?.['name']);
}

/** Who took an upload, which may not be repeated. */
async function upload(ms = 0, over: Channel = channel): Promise<string> {
  const header = { format: String(ms), courseId: 'c', mediaType: 'application/gzip' };
  const requests = [{ part: { $case: 'header', value: header } as const }];
  return (await over.client(ContentServiceDefinition).startImport(requests, { token, deadlineMs: 10_000 })).id;
}

/** Who has sent each message of a stream that goes to both in turn; the n-th comes after so many milliseconds. */
async function stream(...ms: number[]): Promise<string[]> {
  const got: string[] = [];
  const chunks = byCall.client(ContentServiceDefinition).getBodies({ hashes: ms.map(String) }, { token });
  for await (const { bodies } of chunks) got.push(bodies[0]!.hash);
  return got;
}

async function expectBothAnswer(): Promise<void> {
  await eventually(async () => expect(new Set([await ask(0, byCall), await ask(0, byCall)]).size).toBe(2), 10_000);
}

/** Resolves when the turn of the first replica has just begun: a second in which it gets all calls. */
async function turnOfOne(): Promise<void> {
  for (let before = 'one', end = performance.now() + 10_000; ;) {
    const by = await ask();
    if (before === 'two' && by === 'one') return;
    if (performance.now() > end) throw new Error('the first replica has no turn');
    before = by;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

interface Load {
  readonly answers: { readonly by: string; readonly tookMs: number }[];
  readonly errors: unknown[];
  end(): Promise<void>;
}

/** Eight callers, each with one call after the other, until `end`. */
function under(call: () => Promise<string>): Load {
  const answers: Load['answers'] = [];
  const errors: unknown[] = [];
  let going = true;
  const callers = Array.from({ length: 8 }, async () => {
    while (going) {
      const started = performance.now();
      await call().then(
        (by) => answers.push({ by, tookMs: performance.now() - started }),
        (error: unknown) => errors.push(error),
      );
    }
  });
  const load = {
    answers,
    errors,
    async end() {
      going = false;
      await Promise.all(callers);
    },
  };
  loads.push(load);
  return load;
}

const away = { kind: 'unavailable', reason: 'SERVICE_UNAVAILABLE', details: { service: 'peer', retryAfterSeconds: 1 } };

describe('two replicas of a service', () => {
  it('share the calls of a channel', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(0, byCall)));
    expect(answers.filter((by) => by === 'one')).toHaveLength(20);
  });

  it('get calls in turns of a second, and together what is too much for one', async () => {
    const calls = under(() => ask(5));
    await eventually(() => expect(new Set(calls.answers.map(({ by }) => by)).size).toBe(2), 5_000);
    const since = calls.answers.length;
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await calls.end();
    const names = calls.answers.slice(since).map(({ by }) => by);
    // Eight calls are under way when a turn ends: they come back between the first ones of the next.
    const changes = names.filter((name, n) => n > 0 && name !== names[n - 1]).length;
    expect(changes).toBeGreaterThanOrEqual(2);
    expect(changes).toBeLessThan(50);
    const crowd = await Promise.all(Array.from({ length: 60 }, () => ask(20)));
    expect(crowd.filter((by) => by === 'one').length).toBeGreaterThanOrEqual(20);
    expect(crowd.filter((by) => by === 'two').length).toBeGreaterThanOrEqual(20);
  });

  it('are not taken for crowded by calls that come one after the other within a moment', async () => {
    await turnOfOne();
    const calls: Promise<string>[] = [];
    while (calls.length < 16) {
      calls.push(ask(50));
      // Long enough for the call to go out, and still the same turn of the event loop.
      for (let n = 0; n < 100; n += 1) await Promise.resolve();
    }
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['one']));
  });

  it('answer for each other when one is killed, and share again once it is back', async () => {
    const calls = under(() => ask(5));
    await eventually(() => expect(calls.answers.length).toBeGreaterThan(50));
    await turnOfOne();
    one.signal('SIGKILL');
    await one.gone();
    const before = calls.answers.length;
    await eventually(() => expect(calls.answers.length).toBeGreaterThan(before + 200));
    await one.start();
    const since = calls.answers.length;
    await eventually(() => expect(calls.answers.slice(since).some(({ by }) => by === 'one')).toBe(true), 5_000);
    await calls.end();
    expect(calls.errors).toEqual([]);
    expect(Math.max(...calls.answers.map(({ tookMs }) => tookMs))).toBeLessThan(2_000);
  });

  it('answer for each other when one hangs: within seconds what was under way, at once what comes afterwards', async () => {
    const calls = under(() => ask(5));
    await eventually(() => expect(calls.answers.length).toBeGreaterThan(50));
    await turnOfOne();
    one.signal('SIGSTOP');
    const paused = performance.now();
    // Each of the eight meets the one that hangs once.
    await eventually(() => expect(calls.answers.filter(({ tookMs }) => tookMs > 1_000)).toHaveLength(8), 10_000);
    expect(performance.now() - paused).toBeLessThan(4_000);
    const since = calls.answers.length;
    await eventually(() => expect(calls.answers.length).toBeGreaterThan(since + 400));
    await calls.end();
    expect(calls.errors).toEqual([]);
    const later = calls.answers.slice(since);
    expect(new Set(later.map(({ by }) => by))).toEqual(new Set(['two']));
    expect(Math.max(...later.map(({ tookMs }) => tookMs))).toBeLessThan(1_000);
    one.signal('SIGCONT');
    await expectBothAnswer();
  }, 40_000);

  it.each([
    ['is done once that one is', 300, { status: 'fulfilled', value: 'two' }],
    ['is told that the service is away when that takes long', 5_000, { status: 'rejected', reason: away }],
  ])(
    'meet what a killed one has begun further on: whoever sent it once %s',
    async (_what, ms, end) => {
      const both = Promise.allSettled([ask(`meet ${ms}`, byCall), ask(`meet ${ms}`, byCall)]);
      await new Promise((resolve) => setTimeout(resolve, 100));
      one.signal('SIGKILL');
      const ends = await both;
      // The other one was sent to two at first, which somebody else keeps busy as far as it can know.
      const isBusy = (it: PromiseSettledResult<string>): boolean =>
        it.status === 'rejected' && (it.reason as { reason?: string }).reason === 'IN_PROGRESS';
      expect(ends.filter(isBusy)).toHaveLength(1);
      expect(ends.filter((it) => !isBusy(it))).toMatchObject([end]);
    },
    40_000,
  );

  it('leave a call that may not be repeated to its caller, who is told that the service is away', async () => {
    const uploads = [upload(400, byCall), upload(400, byCall)];
    await eventually(() => expect([one.begun, two.begun]).toEqual([1, 1]));
    one.signal('SIGSTOP');
    const started = performance.now();
    const ends = await Promise.allSettled(uploads);
    expect(performance.now() - started).toBeLessThan(4_000);
    expect(ends).toContainEqual({ status: 'fulfilled', value: 'two' });
    expect(ends.find(({ status }) => status === 'rejected')).toMatchObject({ reason: away });
    expect(two.begun).toBe(1);
  }, 40_000);

  it('answer for each other when one cannot reach its database, and say so when none can', async () => {
    await turnOfOne();
    const calls = under(() => ask('without one'));
    await eventually(() => expect(calls.answers.length).toBeGreaterThan(200));
    await calls.end();
    expect(calls.errors).toEqual([]);
    expect(new Set(calls.answers.map(({ by }) => by))).toEqual(new Set(['two']));
    const none = await Promise.allSettled(Array.from({ length: 20 }, () => ask('without one, two')));
    expect(new Set(none.map((it) => it.status === 'rejected' && (it.reason as { reason: string }).reason))).toEqual(
      new Set(['DATABASE_UNAVAILABLE']),
    );
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    await expectBothAnswer();
  });

  it('do not begin later what was given up while they hung', async () => {
    await turnOfOne();
    one.signal('SIGSTOP');
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('noted')));
    expect(new Set(answers)).toEqual(new Set(['two']));
    one.signal('SIGCONT');
    await expectBothAnswer();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect([one.begun, two.begun]).toEqual([0, 20]);
  }, 40_000);

  it('are not taken for hung by a caller that stood still itself', async () => {
    const uploads = Promise.all([upload(1_000, byCall), upload(1_000, byCall)]);
    await eventually(() => expect([one.begun, two.begun]).toEqual([1, 1]));
    for (const end = performance.now() + 4_000; performance.now() < end;);
    expect(new Set(await uploads)).toEqual(new Set(['one', 'two']));
  });

  it('say that the service is away when both hang, to whoever waits and to whoever comes', async () => {
    const waiting = Promise.allSettled([ask(500, byCall), ask(500, byCall)]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    for (const replica of [one, two]) replica.signal('SIGSTOP');
    const told = { status: 'rejected', reason: away };
    expect(await waiting).toMatchObject([told, told]);
    const started = performance.now();
    await expect(ask()).rejects.toMatchObject(away);
    await expect(upload()).rejects.toMatchObject(away);
    expect(performance.now() - started).toBeLessThan(5_000);
    for (const replica of [one, two]) replica.signal('SIGCONT');
    await expectBothAnswer();
    expect([one.begun, two.begun]).toEqual([0, 0]);
  }, 40_000);

  it.each([1, 2, 3])(
    'lose no call when one is stopped under load, not even one that may not be repeated (%i)',
    async () => {
      const [calls, uploads] = [under(() => ask(5)), under(() => upload(5))];
      const long = Promise.all([ask, ask, upload, upload].map((call) => call(1_500, byCall)));
      await eventually(() => expect(Math.min(calls.answers.length, uploads.answers.length)).toBeGreaterThan(50));
      await turnOfOne();
      one.signal('SIGTERM');
      await one.gone();
      const since = [calls.answers.length, uploads.answers.length] as const;
      await eventually(() => expect(calls.answers.length).toBeGreaterThan(since[0] + 100));
      await Promise.all([calls.end(), uploads.end()]);
      expect([calls.errors, uploads.errors]).toEqual([[], []]);
      expect(new Set(await long)).toEqual(new Set(['one', 'two']));
      expect(calls.answers.slice(since[0] + 8).filter(({ by }) => by === 'one')).toEqual([]);
      await eventually(() => expect(one.begun + two.begun).toBe(uploads.answers.length + 2));
    },
    40_000,
  );

  it('answer for each other also with a stream of which nothing has come; of one that has begun the rest is missed', async () => {
    const open = [stream(600, 1), stream(600, 1)];
    const begun = Promise.allSettled([stream(1, 600), stream(1, 600)]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    one.signal('SIGKILL');
    expect(await Promise.all(open)).toEqual([
      ['two', 'two'],
      ['two', 'two'],
    ]);
    const ends = await begun;
    expect(ends).toContainEqual({ status: 'fulfilled', value: ['two', 'two'] });
    expect(ends.find(({ status }) => status === 'rejected')).toMatchObject({ reason: away });
  });
});

describe('the addresses of a peer', () => {
  it('may be names, of which one that nobody knows keeps no call from the others', async () => {
    const ports = [one, two].map(({ address }) => address.split(':')[1]);
    channel.close();
    channel = openChannel('peer', `localhost:${ports[0]},nobody.invalid:7000,localhost:${ports[1]}`);
    await expectBothAnswer();
  });

  it('of which all are unknown make a peer that is away', async () => {
    channel.close();
    channel = openChannel('peer', 'nobody.invalid:7000');
    await expect(ask()).rejects.toMatchObject(away);
  });

  it('stand for every replica that a name has, once each', async () => {
    const names: Record<string, { address: string; family: number }[]> = {
      catalog: [
        { address: '10.0.0.2', family: 4 },
        { address: 'fd00::2', family: 6 },
        { address: '10.0.0.3', family: 4 },
      ],
      'catalog-v6': [{ address: 'fd00::4', family: 6 }],
    };
    const find = async (name: string): Promise<{ address: string; family: number }[]> => {
      if (names[name]) return names[name];
      throw new Error('ENOTFOUND');
    };
    expect(await placesOf('catalog:7000,catalog-v6:7001,10.0.0.9:1', find)).toEqual({
      complete: true,
      places: [
        { host: '10.0.0.2', port: 7000 },
        { host: '10.0.0.3', port: 7000 },
        { host: 'fd00::4', port: 7001 },
        { host: '10.0.0.9', port: 1 },
      ],
    });
    expect(await placesOf('catalog-2:7000,catalog-v6:7001', find)).toEqual({
      complete: false,
      places: [{ host: 'fd00::4', port: 7001 }],
    });
  });

  it('are refused in a configuration when they are not host:port with commas between', () => {
    const read = (text: string): string => readConfig({ A: text }, (reader) => reader.address('A'));
    for (const good of ['catalog:7000', '127.0.0.1:1,127.0.0.1:2', 'catalog:7000,catalog-2:7000'])
      expect(read(good)).toBe(good);
    for (const bad of ['catalog', 'catalog:', 'a:1,', ',a:1', 'a:1;b:2', 'a:1, b:2', 'a:1,b'])
      expect(() => read(bad)).toThrow('A must be host:port, or several with commas between');
  });
});

describe('the name of a replica', () => {
  it('is taken from INSTANCE, where it is one', () => {
    const read = (text?: string): string | undefined => readConfig({ INSTANCE: text }, (reader) => reader.instance());
    expect([read(), read(''), read('catalog-2')]).toEqual([undefined, undefined, 'catalog-2']);
    expect(() => read('catalog 2')).toThrow('INSTANCE must be a name');
  });
});
