import { beginOf, endOf, type Log, type LogEntry, type Read, type Violation, type Write } from './history.js';

/** What the clients of one course saw, and what its branches tell of it. Logs reach back to the course's first commit. */
export interface CourseHistory {
  readonly writes: readonly Write[];
  readonly reads: readonly Read[];
  readonly logs: readonly Log[];
  /** The etag part of each node and of each lesson's document before the first write: `self <id>` and `body <id>`. */
  readonly initial: ReadonlyMap<string, string>;
}

/** Every way in which the logs break what was promised to the clients. Pure: no server is asked. */
export function checkCourse(history: CourseHistory): Violation[] {
  return [
    ...checkPresence(history),
    ...history.logs.flatMap((log) => [
      ...checkLine(log),
      ...checkOrder(history.writes, log),
      ...checkOverwrites(history, log),
      ...checkReads(history, log),
      ...checkRefusals(history, log),
    ]),
  ];
}

const commitsOf = (writes: readonly Write[]): Write[] => writes.filter(({ kind }) => kind !== 'branch');

function placesOf(log: Log): Map<string, LogEntry[]> {
  const places = new Map<string, LogEntry[]>();
  for (const entry of log.entries) places.set(entry.message, [...(places.get(entry.message) ?? []), entry]);
  return places;
}

/** What was acknowledged is there once, what was refused is not, and what nobody knows of is there at most once. */
export function checkPresence({ writes, logs }: Pick<CourseHistory, 'writes' | 'logs'>): Violation[] {
  const places = new Map(logs.map((log) => [log.branch, placesOf(log)]));
  return commitsOf(writes).flatMap((write): Violation[] => {
    const found = places.get(write.branch)?.get(write.id) ?? [];
    const name = `${write.kind} ${write.id} in ${write.course}${write.branch && ` on ${write.branch}`}`;
    if (found.length > 1) return [{ kind: 'doubled', what: `${name}: ${found.length} commits` }];
    if (write.outcome === 'refused' && found.length > 0)
      return [{ kind: 'resurrected', what: `${name}: refused, and there` }];
    if (write.outcome !== 'acknowledged') return [];
    // Somebody else had moved it there already: then nothing was left to do.
    if (write.kind === 'move' && write.commit === null && found.length === 0) return [];
    if (found.length === 0) return [{ kind: 'lost', what: `${name}: acknowledged as ${write.commit}, in no log` }];
    if (write.commit !== found[0]!.hash)
      return [{ kind: 'wrong', what: `${name}: acknowledged as ${write.commit}, is ${found[0]!.hash}` }];
    return [];
  });
}

/** Each commit has the one before it as its only parent, none comes twice, and the first has none. */
export function checkLine(log: Log): Violation[] {
  const seen = new Set<string>();
  return log.entries.flatMap((entry, index): Violation[] => {
    const before = log.entries[index - 1]?.hash;
    const isNext = before === undefined ? entry.parents.length === 0 : entry.parents.join() === before;
    const isNew = !seen.has(entry.hash);
    seen.add(entry.hash);
    if (isNext && isNew) return [];
    const what = `${log.course} ${log.branch}: ${entry.hash} (${entry.message}) does not follow ${before ?? 'nothing'}`;
    return [{ kind: 'forked', what }];
  });
}

/** A write that ended before another began stands before it. */
export function checkOrder(writes: readonly Write[], log: Log): Violation[] {
  const byId = new Map(writes.map((write) => [write.id, write]));
  const found: Violation[] = [];
  let latest: Write | undefined;
  for (const { message } of log.entries) {
    const write = byId.get(message);
    if (write === undefined) continue;
    if (latest !== undefined && endOf(write) < beginOf(latest))
      found.push({
        kind: 'reordered',
        what: `${write.id} ended ${Math.round(beginOf(latest) - endOf(write))} ms before ${latest.id} began, and stands after it in ${log.course} ${log.branch}`,
      });
    if (latest === undefined || beginOf(write) > beginOf(latest)) latest = write;
  }
  return found;
}

const facetOf = (write: Write): string => `${write.kind === 'save' ? 'body' : 'self'} ${write.node}`;

/** Each write that named a state followed that very state: nobody's work was written over unseen. */
export function checkOverwrites(history: Pick<CourseHistory, 'writes' | 'initial'>, log: Log): Violation[] {
  const byId = new Map(history.writes.map((write) => [write.id, write]));
  const state = new Map<string, string | null>(history.initial);
  const found: Violation[] = [];
  for (const { message } of log.entries) {
    const write = byId.get(message);
    if (write === undefined || write.kind === 'branch') continue;
    if (write.kind === 'add') {
      if (write.made !== null) state.set(`self ${write.made}`, write.etag).set(`body ${write.made}`, 'none');
      continue;
    }
    const facet = facetOf(write);
    // Null after a write whose answer nobody got: what it made is not known here.
    const present = state.get(facet) ?? null;
    if (write.ifMatch !== undefined && present !== null && present !== write.ifMatch) {
      const what = `${write.kind} ${write.id} of ${write.node} was made on ${write.ifMatch}, and followed ${present}`;
      found.push({ kind: 'overwritten', what });
    }
    state.set(facet, write.etag);
  }
  return found;
}

/** A read shows at least what was acknowledged before it began, and nothing that is in no log. */
export function checkReads(history: Pick<CourseHistory, 'writes' | 'reads'>, log: Log): Violation[] {
  const places = new Map(log.entries.map(({ message }, index) => [message, index]));
  const saves = history.writes
    .filter(({ kind, outcome }) => kind === 'save' && outcome === 'acknowledged')
    .flatMap((write) => {
      const place = places.get(write.id);
      return place === undefined ? [] : [{ node: write.node, end: endOf(write), place, id: write.id }];
    });
  const reads = history.reads.filter(({ branch }) => branch === log.branch);
  return reads.flatMap((read): Violation[] => {
    const shown = read.saved === '' ? -1 : places.get(read.saved);
    const where = `${read.node} in ${read.course} ${read.branch}`;
    if (shown === undefined) return [{ kind: 'lost', what: `${where}: ${read.saved} was read, and is in no log` }];
    const seen = reads.find(
      ({ node, end, saved }) => node === read.node && end < read.begin && (places.get(saved) ?? -1) > shown,
    );
    if (seen !== undefined)
      return [
        { kind: 'stale', what: `${where}: read as of ${read.saved || 'the beginning'}, after ${seen.saved} was read` },
      ];
    const missed = saves.find(({ node, end, place }) => node === read.node && end < read.begin && place > shown);
    if (missed === undefined) return [];
    const what = `${where}: read as of ${read.saved || 'the beginning'}, ${Math.round(read.begin - missed.end)} ms after ${missed.id} was acknowledged`;
    return [{ kind: 'stale', what }];
  });
}

/**
 * Whoever was refused for naming another state than the present one was refused rightly: something had followed that state before the
 * answer came. A replica that does not know of the newest state shows itself here.
 */
export function checkRefusals(history: Pick<CourseHistory, 'writes' | 'initial'>, log: Log): Violation[] {
  const states = statesIn(history, log);
  const refused = history.writes.filter(
    ({ branch, ifMatch, attempts }) =>
      branch === log.branch && ifMatch !== undefined && attempts.at(-1)?.status === 412,
  );
  return refused.flatMap((write): Violation[] => {
    const line = states.get(facetOf(write)) ?? [];
    // Of a state whose making was never answered it is not known where it stands.
    const place = line.findIndex(({ etag }) => etag === write.ifMatch);
    const next = line[place + 1];
    const end = write.attempts.at(-1)!.end;
    if (place < 0 || (next !== undefined && next.begin < end)) return [];
    const what = `${write.kind} ${write.id} of ${write.node} in ${log.course} ${log.branch} was refused for naming ${write.ifMatch}, which nothing had followed`;
    return [{ kind: 'stale', what }];
  });
}

interface State {
  /** Null when nobody was told. */
  readonly etag: string | null;
  /** When the first request for it went out. */
  readonly begin: number;
}

/** The states of each facet of each node in the order of a log. */
function statesIn(history: Pick<CourseHistory, 'writes' | 'initial'>, log: Log): Map<string, State[]> {
  const byId = new Map(history.writes.map((write) => [write.id, write]));
  const states = new Map<string, State[]>();
  const add = (facet: string, state: State): void => void states.set(facet, [...(states.get(facet) ?? []), state]);
  for (const [facet, etag] of history.initial) add(facet, { etag, begin: -Infinity });
  for (const { message } of log.entries) {
    const write = byId.get(message);
    if (write === undefined || write.kind === 'branch') continue;
    const begin = beginOf(write);
    if (write.kind !== 'add') add(facetOf(write), { etag: write.etag, begin });
    else if (write.made !== null) {
      add(`self ${write.made}`, { etag: write.etag, begin });
      add(`body ${write.made}`, { etag: 'none', begin });
    }
  }
  return states;
}
