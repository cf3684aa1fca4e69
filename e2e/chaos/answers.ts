import type { OddAnswer } from './client.js';
import { beginOf, type Violation, type Write } from './history.js';

/** What the clients of one drill were told, beside when the fault was. Times are those of the suite's clock. */
export interface Answered {
  readonly clients: readonly { readonly odd: readonly OddAnswer[]; readonly putOffs: readonly number[] }[];
  readonly writes: readonly Write[];
  /** Names of the writers; the ids of their writes begin with them. */
  readonly writers: readonly string[];
  readonly injectedAt: number;
  /** When everything was first seen to be ready again. */
  readonly readyAt: number;
  /** From when on it was known that everything is well again; undefined when it never was. */
  readonly wellAt: number | undefined;
  /** The one gateway is itself the victim: there may be no answer in time while it is. */
  readonly mayBeSilent: boolean;
}

/** Whether everybody was answered as promised, and could work again afterwards. Pure. */
export function checkAnswers(answered: Answered): Violation[] {
  const { wellAt } = answered;
  return [
    ...checkOdd(answered),
    ...(wellAt === undefined ? [] : [...checkPutOffs(answered, wellAt), ...checkWork(answered, wellAt)]),
    ...checkKeyed(answered),
  ];
}

/** How often each odd answer came. */
export function tally(odd: readonly OddAnswer[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { what } of odd) counts.set(what, (counts.get(what) ?? 0) + 1);
  return counts;
}

function checkOdd({ clients, injectedAt, readyAt, mayBeSilent }: Answered): Violation[] {
  const isExcused = ({ at, end, what }: OddAnswer): boolean =>
    mayBeSilent && (what.startsWith('no answer') || what.endsWith('too late')) && at <= readyAt && end >= injectedAt;
  const odd = clients.flatMap((client) => client.odd).filter((one) => !isExcused(one));
  return [...tally(odd)].map(([what, times]) => ({ kind: 'answer', what: `${times} × ${what}` }));
}

function checkPutOffs({ clients }: Answered, wellAt: number): Violation[] {
  const late = clients.flatMap(({ putOffs }) => putOffs).filter((at) => at >= wellAt);
  return late.length === 0 ? [] : [{ kind: 'answer', what: `${late.length} × 503 when all was well again` }];
}

/** The writers that got something done again. */
export function haveWorked({ writes, writers }: Pick<Answered, 'writes' | 'writers'>, wellAt: number): string[] {
  const did = (name: string): boolean =>
    writes.some(
      (write) => write.id.startsWith(`${name}-`) && write.outcome === 'acknowledged' && beginOf(write) >= wellAt,
    );
  return writers.filter(did);
}

function checkWork(answered: Answered, wellAt: number): Violation[] {
  const worked = new Set(haveWorked(answered, wellAt));
  return answered.writers
    .filter((name) => !worked.has(name))
    .map((name) => ({ kind: 'answer', what: `${name} got nothing done when all was well again` }));
}

function checkKeyed({ writes }: Answered): Violation[] {
  return writes
    .filter(({ isKeyed, outcome }) => isKeyed && outcome === 'unknown')
    .map(({ kind, id, attempts }) => {
      const last = attempts.at(-1);
      const answer = last?.status === null ? 'no answer' : `${last?.status} ${last?.reason}`;
      return { kind: 'answer', what: `${kind} ${id} was sent ${attempts.length} times, in the end with ${answer}` };
    });
}
