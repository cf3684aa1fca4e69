import { audienceIn } from '@coursewright/course-model/audience';
import { countChanges, countsAfter, type ChangeCounts, type NodeChange } from '../domain/changes.js';
import { COMMIT_FORMAT, generation, hashCommit, type CommitKind } from '../domain/commit.js';
import { committed, EVENT_NODES } from '../domain/events.js';
import { historyRows } from '../domain/history.js';
import type { Counts } from '../domain/kinds.js';
import type { ObjectPool } from '../domain/object-pool.js';
import type { Stored } from '../domain/objects.js';
import type { TreeRef } from '../domain/tree-draft.js';
import type { Branch, CommandResult, Commit, Home, NodeCommit, RefMove, WriteTx } from './ports.js';

/** Who makes a commit, and how it is described. */
export interface Authorship {
  readonly author: { readonly id: string; readonly name: string };
  readonly message: string;
  readonly kind: CommitKind;
  readonly at: Date;
  /** The trace of the request that asks for it: a transaction may serve several. */
  readonly traceparent?: string | undefined;
}

/** A new version of a branch's tree. */
export interface Step {
  readonly tree: TreeRef;
  readonly changes: readonly NodeChange[];
  /** Given where `changes` does not list every node: what the log shows, and the counts of the new tree. */
  readonly sums?: { readonly changes: ChangeCounts; readonly counts: Counts };
}

/** A step that has become a commit. */
interface Made {
  readonly commit: Commit;
  readonly step: Step;
  /** The head before it; empty for the first one. */
  readonly previous: string;
  readonly traceparent: string | undefined;
}

function moveOf(ref: string, { commit, previous }: Made): RefMove {
  const { hash, author, kind, at } = commit;
  return { ref, from: previous === '' ? null : previous, to: hash, actor: author, reason: kind, at };
}

/**
 * Collects new commits of one locked branch, oldest first, and writes them with all that belongs to them: objects, history, homes,
 * bodies in use, ref log and events. Nothing is written before `write`.
 */
export class BranchAdvance {
  readonly #tx: WriteTx;
  readonly #pool: ObjectPool;
  readonly #branch: Branch;
  readonly #isDefault: boolean;
  #head: Commit;
  readonly #commits: Made[] = [];
  readonly #objects = new Map<string, Stored>();
  readonly #history: NodeCommit[] = [];
  readonly #homes = new Map<string, Home>();
  readonly #born: { readonly commit: string; readonly nodes: readonly string[] }[] = [];

  constructor(
    tx: WriteTx,
    pool: ObjectPool,
    at: { readonly branch: Branch; readonly head: Commit; readonly isDefault: boolean },
  ) {
    this.#tx = tx;
    this.#pool = pool;
    this.#branch = at.branch;
    this.#head = at.head;
    this.#isDefault = at.isDefault;
  }

  /** The newest commit, written or not. */
  get head(): Commit {
    return this.#head;
  }

  /** The homes of nodes that a step wants to add, with those of earlier steps. */
  async homes(ids: readonly string[]): Promise<ReadonlyMap<string, Home>> {
    const unknown = ids.filter((id) => !this.#homes.has(id));
    const found = unknown.length === 0 ? [] : await this.#tx.reads.homes(unknown);
    const homes = new Map(found.map((home) => [home.node, home]));
    for (const id of ids) {
      const home = this.#homes.get(id);
      if (home) homes.set(id, home);
    }
    return homes;
  }

  /** Makes a commit of a step; `homes` are those of the nodes it adds, and `restored` tells which of them were visible before. */
  add(step: Step, by: Authorship, homes: ReadonlyMap<string, Home>): Commit {
    const head = this.#head;
    const content = {
      ...step.tree,
      parents: head.hash === '' ? [] : [head.hash],
      author: by.author.id,
      at: by.at,
      message: by.message,
      kind: by.kind,
      changeSet: null,
    };
    const commit: Commit = {
      ...content,
      hash: hashCommit(content),
      format: COMMIT_FORMAT,
      gen: generation([head.gen]),
      authorName: by.author.name,
      changes: step.sums?.changes ?? countChanges(step.changes),
      counts: step.sums?.counts ?? countsAfter(head.counts, step.changes),
    };
    for (const stored of this.#pool.reachable(step.tree.root, step.tree.index)) this.#objects.set(stored.hash, stored);
    this.#commits.push({ commit, step, previous: head.hash, traceparent: by.traceparent });
    this.#head = commit;
    const isVisible = !this.#branch.isHidden;
    const added = step.changes.filter((change) => change.what.includes('added'));
    if (isVisible) {
      const isKnown = (id: string): boolean => (homes.get(id)?.born ?? null) !== null;
      this.addHistory(commit, historyRows(step.changes, isKnown));
    }
    for (const { id } of added) {
      if ((homes.get(id)?.born ?? null) !== null) continue;
      this.#homes.set(id, { node: id, courseId: this.#branch.courseId, born: isVisible ? commit.hash : null });
    }
    return commit;
  }

  /** Adds rows to the history of nodes. */
  addHistory(commit: Commit, rows: readonly { readonly node: string; readonly what: number }[]): void {
    for (const { node, what } of rows) this.#history.push({ node, what, gen: commit.gen, commit: commit.hash });
  }

  /** Says that nodes of a hidden branch are visible from this commit on. */
  reveal(commit: Commit, nodes: readonly string[]): void {
    this.#born.push({ commit: commit.hash, nodes });
  }

  /** Writes everything, with the results of the commands; the events come last, since they take the course's counter. */
  async write(results: readonly CommandResult[]): Promise<void> {
    const steps = this.#commits;
    if (steps.length === 0) return this.#tx.rememberCommands(results);
    const { courseId, isHidden, id } = this.#branch;
    const logSeq = await this.#tx.advance({
      courseId,
      branch: this.#branch,
      head: this.#head.hash,
      commits: steps.map(({ commit }) => commit),
      objects: [...this.#objects.values()],
      history: this.#history,
      homes: [...this.#homes.values()],
      born: this.#born,
      restricted: steps.flatMap(({ step }) =>
        step.changes.flatMap(({ id, fields }) => (audienceIn(fields.audience) === 'learner' ? [] : [id])),
      ),
      bodies: steps.flatMap(({ step }) =>
        step.changes.flatMap(({ body, bodyChanged }) => (bodyChanged && body !== null ? [body] : [])),
      ),
      moves: isHidden ? [] : steps.map((step) => moveOf(id, step)),
      results,
    });
    await this.#enqueue(logSeq - steps.length);
  }

  /** `before` is the number that the ref log had come to before these commits. */
  async #enqueue(before: number): Promise<void> {
    if (this.#branch.isHidden) return;
    const { id, name, courseId } = this.#branch;
    const branch = { id, name, isDefault: this.#isDefault };
    const events = this.#commits.map(async ({ commit, step, traceparent }, i) => {
      const total = commit.changes.added + commit.changes.removed;
      const isCut = step.sums !== undefined && (total > step.changes.length || step.changes.length > EVENT_NODES);
      const { fields } = await this.#pool.head(commit.root);
      const logSeq = before + i + 1;
      const event = committed({ courseId, branch, commit, nodes: step.changes, isCut, rootFields: fields, logSeq });
      return traceparent === undefined ? event : { ...event, traceparent };
    });
    await this.#tx.enqueue(await Promise.all(events));
  }
}
