import { connect as connectNats, headers, type NatsConnection } from '@nats-io/transport-node';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { ChaosSystem } from './chaos-system.js';
import { stopAmidImport } from './importing.js';

/** Something bad that is done to a system and, unless it is over by itself, undone. */
export interface Fault {
  readonly name: string;
  /** How long it lasts before `end` is called. */
  readonly holdMs: number;
  /** What it is done to. When the gateway or everything is among it, clients may get no answer while it lasts. */
  readonly touches: readonly string[];
  inject(system: ChaosSystem): Promise<void>;
  end(system: ChaosSystem): Promise<void>;
}

/** Longer than any lease. */
const PAUSE_MS = 30_000;
const DOWN_MS = 5_000;
const UNWATCHED_MS = 3_000;
const CLOCK_MS = 60_000;
const CLOCK_HOLD_MS = 15_000;
/** Time for the supervisor to see that something hangs: five questions, two seconds apart. */
const HANG_MS = 14_000;

const nothing = async (): Promise<void> => undefined;

function kill(...names: readonly string[]): Fault {
  return {
    name: `kill:${names.join('+')}`,
    holdMs: 0,
    touches: names,
    inject: async (system) => void (await Promise.all(names.map((name) => system.kill(name)))),
    end: nothing,
  };
}

/**
 * Stops a process for longer than any lease and lets it go on as if nothing had been. The supervisor sleeps with it, else it would kill
 * it after ten seconds: that is the fault `hang`. Content is stopped amid an import.
 */
function pause(name: string): Fault {
  let pids: number[] = [];
  return {
    name: `pause:${name}`,
    holdMs: PAUSE_MS,
    touches: [name],
    async inject(system) {
      const pid = await system.pid(name);
      if (commonName(name) === 'content') await stopAmidImport(system, name, pid);
      system.signal(system.supervisorPid, 'SIGSTOP');
      system.signal(pid, 'SIGSTOP');
      // PostgreSQL's backends are its children, and would go on serving.
      pids = [system.supervisorPid, pid, ...childrenOf(pid)];
      for (const child of pids.slice(2)) system.signal(child, 'SIGSTOP');
    },
    end: async (system) => [...pids].reverse().forEach((pid) => system.signal(pid, 'SIGCONT')),
  };
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === parent)
    .map(Number);
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}

/** Stops a process for good: the supervisor has to notice, kill it and bring it back. */
function hang(name: string): Fault {
  return {
    name: `hang:${name}`,
    holdMs: HANG_MS,
    touches: [name],
    inject: async (system) => system.signal(await system.pid(name), 'SIGSTOP'),
    end: nothing,
  };
}

function stop(name: string): Fault {
  return {
    name: `stop:${name}`,
    holdMs: DOWN_MS,
    touches: [name],
    inject: (system) => system.stop(name),
    end: (system) => system.start(name),
  };
}

function clock(name: string, way: 'ahead' | 'behind'): Fault {
  return {
    name: `clock-${way}:${name}`,
    holdMs: CLOCK_HOLD_MS,
    touches: [],
    inject: async (system) => system.setClock(name, way === 'ahead' ? CLOCK_MS : -CLOCK_MS),
    end: async (system) => system.setClock(name, 0),
  };
}

const supervisor: Fault = {
  name: 'kill:supervisor',
  holdMs: UNWATCHED_MS,
  touches: ['everything'],
  inject: (system) => system.killSupervisor(),
  end: (system) => system.startSupervisor(),
};

const wipe: Fault = {
  name: 'wipe:nats',
  holdMs: 0,
  touches: ['nats'],
  inject: (system) => system.wipe('nats'),
  end: nothing,
};

/** Does something to each stream, as NATS's admin. */
async function eachStream(
  { facts }: ChaosSystem,
  work: (nats: NatsConnection, stream: string) => Promise<void>,
): Promise<void> {
  const { username, password, host } = new URL(facts.natsAdmin);
  const nats = await connectNats({ servers: host, user: username, pass: password });
  try {
    const { streams } = (await nats.request('$JS.API.STREAM.NAMES')).json<{ streams: string[] | null }>();
    for (const stream of streams ?? []) await work(nats, stream);
    await nats.flush();
  } finally {
    await nats.close();
  }
}

const deleteStreams: Fault = {
  name: 'delete:streams',
  holdMs: 0,
  touches: ['nats'],
  inject: (system) =>
    eachStream(system, async (nats, stream) => void (await nats.request(`$JS.API.STREAM.DELETE.${stream}`))),
  end: nothing,
};

const REPEATED = 50;

interface StoredMessage {
  readonly message?: { readonly subject: string; readonly hdrs?: string; readonly data?: string };
}

/** The last events come again, newest first, as new messages: the broker does not know them as the same ones. */
const repeatEvents: Fault = {
  name: 'repeat:events',
  holdMs: 0,
  touches: ['nats'],
  inject: (system) =>
    eachStream(system, async (nats, stream) => {
      const { state } = (await nats.request(`$JS.API.STREAM.INFO.${stream}`)).json<{ state: { last_seq: number } }>();
      for (let seq = state.last_seq; seq > Math.max(0, state.last_seq - REPEATED); seq -= 1) {
        const asked = await nats.request(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify({ seq }));
        const { message } = asked.json<StoredMessage>();
        if (message === undefined) continue;
        const copy = headers();
        const lines = Buffer.from(message.hdrs ?? '', 'base64')
          .toString()
          .split('\r\n')
          .slice(1);
        for (const line of lines.filter((one) => one !== '' && !/^nats-/i.test(one)))
          copy.set(line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim());
        nats.publish(message.subject, Buffer.from(message.data ?? '', 'base64'), { headers: copy });
      }
    }),
  end: nothing,
};

const flush: Fault = {
  name: 'flush:redis',
  holdMs: 0,
  touches: ['redis'],
  inject: ({ facts }) =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(facts.servers.redis);
      const socket = connect(Number(port), hostname, () => socket.write('FLUSHALL\r\n'));
      socket.once('error', reject).once('data', (answer) => {
        socket.destroy();
        if (answer.toString().startsWith('+OK')) resolve();
        else reject(new Error(answer.toString()));
      });
    }),
  end: nothing,
};

/** Nothing is done: what the suite finds then is wrong with the suite, or always. */
const none: Fault = { name: 'none', holdMs: DOWN_MS, touches: [], inject: nothing, end: nothing };

/** Two at once: each process with its neighbour in the order of the start, and both replicas of a service. */
function pairsOf(processes: readonly string[]): Fault[] {
  const first = processes.filter((name) => !/-\d+$/.test(name));
  const neighbours = first.map((name, n) => [name, first[(n + 1) % first.length]!] as const);
  const replicas = processes
    .filter((name) => name.endsWith('-2'))
    .map((name) => [name.slice(0, -'-2'.length), name] as const);
  return [...neighbours, ...replicas].map((pair) => kill(...pair));
}

/** Every fault of a system of these processes and servers. */
export function faultsOf(processes: readonly string[], servers: readonly string[]): Fault[] {
  const all = [...processes, ...servers];
  return [
    none,
    ...processes.map((name) => kill(name)),
    ...pairsOf(processes),
    ...servers.map((name) => kill(name)),
    supervisor,
    ...all.map(pause),
    ...processes.map(hang),
    ...all.map(stop),
    wipe,
    deleteStreams,
    repeatEvents,
    flush,
    ...processes.flatMap((name) => [clock(name, 'ahead'), clock(name, 'behind')]),
  ];
}

/** Those of the faults that are named, whole (`kill:catalog`) or by their kind (`kill`); all of them when none is. */
export function chosen(faults: readonly Fault[], names: readonly string[]): Fault[] {
  const unknown = names.find((name) => !faults.some((fault) => isNamed(fault, name)));
  if (unknown !== undefined)
    throw new Error(`there is no fault ${unknown}; there are: ${faults.map(({ name }) => name).join(', ')}`);
  return names.length === 0 ? [...faults] : faults.filter((fault) => names.some((name) => isNamed(fault, name)));
}

/** What a fault is called whichever replica of a service it is done to: `kill:catalog-2` is `kill:catalog`. */
export function commonName(name: string): string {
  return name.includes('+') ? name : name.replace(/-\d+$/, '');
}

/** The faults as rounds do them: of those that differ in the replica alone, each round takes the next one. */
export function roundOf(faults: readonly Fault[], round: number): Fault[] {
  const groups = Map.groupBy(faults, ({ name }) => commonName(name));
  return [...groups.values()].map((group) => group[round % group.length]!);
}

function isNamed(fault: Fault, name: string): boolean {
  return fault.name === name || fault.name.startsWith(`${name}:`);
}
