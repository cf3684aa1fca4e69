import { isTransient } from '@coursewright/platform/errors';
import { commitGroup, type CommitInput } from './commit.js';
import type { WriteOutcome } from './outcomes.js';
import type { Deps } from './ports.js';

/** At most so many changes of one branch share a transaction. */
const GROUP = 32;
/** And at most so many ops, so that a large change does not keep small ones waiting longer than it must. */
const GROUP_OPS = 4_000;

interface Waiting {
  readonly input: CommitInput;
  resolve(outcome: WriteOutcome): void;
  reject(error: unknown): void;
}

/**
 * Lets the changes that wait for one branch share a transaction: while one group is written the next one gathers. Under load a
 * branch so takes many commits for one flush to disk; alone, a change waits for nobody.
 */
export class CommitQueue {
  readonly #deps: Deps;
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Applies a change to the present head of its branch. See `commitGroup`. */
  commit(input: CommitInput): Promise<WriteOutcome> {
    const key = `${input.courseId}/${input.branch}`;
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(key);
      if (waiting) {
        waiting.push({ input, resolve, reject });
        return;
      }
      this.#waiting.set(key, [{ input, resolve, reject }]);
      void this.#drain(key);
    });
  }

  async #drain(key: string): Promise<void> {
    for (;;) {
      const waiting = this.#waiting.get(key) ?? [];
      if (waiting.length === 0) {
        this.#waiting.delete(key);
        return;
      }
      const group = takeGroup(waiting);
      if (group.length === 0) continue;
      await this.#write(group).catch((error: unknown) => this.#alone(group, error));
    }
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    const outcomes = await commitGroup(
      this.#deps,
      group.map(({ input }) => input),
    );
    group.forEach((one, i) => one.resolve(outcomes[i] as WriteOutcome));
  }

  async #again(group: readonly Waiting[]): Promise<void> {
    const still = group.filter((one) => {
      const { signal } = one.input;
      if (signal?.aborted) one.reject(signal.reason);
      return !signal?.aborted;
    });
    if (still.length === 0) return;
    await this.#write(still).catch((error: unknown) => {
      for (const one of still) one.reject(error);
    });
  }

  /**
   * A group that failed as a whole is tried one by one, so that nobody fails for another's sake. One that met what may pass (a lost
   * connection, transactions in each other's way, a lock that took too long) is tried once more as a whole: alone, each would wait as long.
   */
  async #alone(group: readonly Waiting[], error: unknown): Promise<void> {
    if (group.length === 1) {
      group[0]?.reject(error);
      return;
    }
    if (isTransient(error)) return this.#again(group);
    for (const one of group) {
      try {
        one.input.signal?.throwIfAborted();
        await this.#write([one]);
      } catch (failure) {
        one.reject(failure);
      }
    }
  }
}

/** Takes from the front what may go together: the same command twice may not, since the second one wants the first one's result. */
function takeGroup(waiting: Waiting[]): Waiting[] {
  const group: Waiting[] = [];
  const commands = new Set<string>();
  let ops = 0;
  while (group.length < GROUP) {
    const next = waiting[0];
    if (!next) break;
    const { command, signal } = next.input;
    if (signal?.aborted) {
      next.reject(signal.reason);
      waiting.shift();
      continue;
    }
    const key = command && `${command.actor}\n${command.id}`;
    ops += next.input.ops.length;
    if (group.length > 0 && ((key && commands.has(key)) || ops > GROUP_OPS)) break;
    if (key) commands.add(key);
    group.push(next);
    waiting.shift();
  }
  return group;
}
