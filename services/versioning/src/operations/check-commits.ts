import { generation, hashCommit, isCommitFormat } from '../domain/commit.js';
import { markAbove, type CommitMark } from '../domain/history.js';
import { HashSet } from '../domain/hash-set.js';
import type { Report } from '../domain/integrity.js';
import type { Counts } from '../domain/kinds.js';
import { fromHash } from '@coursewright/platform/ids';
import type { IntegrityReads, StoredCommit } from './ports.js';

/** Rows that are read together. */
const PAGE = 500;
const NEWEST: CommitMark = { gen: 2 ** 31 - 1, hash: Buffer.alloc(32, 0xff).toString('base64url') };

/** What the check of commits needs. */
export interface CommitPorts {
  readonly reads: IntegrityReads;
  readonly report: Report;
  /** Hears of every commit that was found. */
  readonly found: (row: StoredCommit) => Promise<void>;
}

/**
 * Checks every commit that is reached from these heads: hash, generation, and whether its counts follow from those of its first parent.
 * Reads them in pages down the generations, so a history of any length takes a statement for 500 commits; only those that are not
 * where their children expect them are asked for by hash. Holds 27 bytes a commit.
 */
export class CommitCheck {
  readonly #ports: CommitPorts;
  readonly #checked = new HashSet();
  readonly #wanted = new Set<string>();

  constructor(ports: CommitPorts) {
    this.#ports = ports;
  }

  /** How many commits were found and checked. */
  get commits(): number {
    return this.#checked.size;
  }

  async run(heads: readonly string[]): Promise<void> {
    for (const head of heads) this.#wanted.add(head);
    let before = NEWEST;
    while (this.#wanted.size > 0) {
      await this.#scan(before);
      before = await this.#takeStrays();
    }
  }

  /** Down the generations until nothing is wanted any more, or there are no more rows. */
  async #scan(start: CommitMark): Promise<void> {
    let before: CommitMark | undefined = start;
    while (before && this.#wanted.size > 0) {
      const rows: StoredCommit[] = await this.#ports.reads.commitsBefore(before, PAGE);
      for (const row of rows) if (this.#wanted.has(row.commit.hash)) await this.#take(row);
      before = rows.length < PAGE ? undefined : rows.at(-1)?.commit;
    }
  }

  /** Commits whose row is not where it should be, or is not there at all; answers where to go on for their parents. */
  async #takeStrays(): Promise<CommitMark> {
    let gen = 0;
    for (const batch = [...this.#wanted]; batch.length > 0;) {
      const asked = batch.splice(0, PAGE);
      const rows = new Map((await this.#ports.reads.commits(asked)).map((row) => [row.commit.hash, row]));
      for (const hash of asked) {
        const row = rows.get(hash);
        this.#wanted.delete(hash);
        if (!row) {
          this.#ports.report('bad_commit', hash, 'the commit is not there');
          continue;
        }
        await this.#take(row);
        gen = Math.max(gen, row.parentGen ?? 0);
      }
    }
    return markAbove(gen);
  }

  async #take(row: StoredCommit): Promise<void> {
    const { commit } = row;
    this.#wanted.delete(commit.hash);
    if (!this.#checked.add(fromHash(commit.hash))) return;
    for (const parent of commit.parents) if (!this.#checked.has(fromHash(parent))) this.#wanted.add(parent);
    this.#check(row);
    await this.#ports.found(row);
  }

  #check({ commit, parentGen, parentCounts }: StoredCommit): void {
    const { hash, format, gen, parents, changes, counts } = commit;
    const bad = (message: string): void => this.#ports.report('bad_commit', hash, message);
    if (!isCommitFormat(format)) bad(`the commit is written in version ${format}, which this release cannot read`);
    else if (hashCommit(commit, format) !== hash) bad('the commit is not what its hash says');
    if ((parents.length === 0 || parentGen !== null) && gen !== generation(parentGen === null ? [] : [parentGen]))
      bad('its generation does not follow its parents');
    if (parentCounts && total(counts) - total(parentCounts) !== changes.added - changes.removed)
      bad('its counts do not follow from its parent and its changes');
  }
}

function total({ units, modules, lessons, assignments }: Counts): number {
  return units + modules + lessons + assignments;
}
