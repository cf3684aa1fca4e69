import type { Report } from './integrity.js';
import { brokenLink, LOG_START, type LogLink } from './ref-log.js';

/** A ref as it is kept. */
export interface KeptRef {
  readonly kind: 'branch' | 'hidden' | 'published' | 'version' | 'tag';
  /** Id of a branch, number of a version, name of a tag. */
  readonly name: string;
  readonly commit: string;
  /** Hash of the root node, which a version keeps beside its commit. */
  readonly tree: string | null;
}

/** The refs of a course and the end of its log, all of one moment. */
export interface KeptRefs {
  readonly defaultBranch: string;
  readonly logSeq: number;
  readonly logHash: string;
  readonly refs: readonly KeptRef[];
}

/** What the log calls a ref: a branch's id, `published`, `version/<number>`, `tag/<name>`. */
export function logName({ kind, name }: Pick<KeptRef, 'kind' | 'name'>): string {
  return kind === 'version' || kind === 'tag' ? `${kind}/${name}` : name;
}

/** Checks a course's log page by page, then the refs against it. Holds a hash for each ref that ever was. */
export class LogCheck {
  readonly #report: Report;
  readonly #kept: KeptRefs;
  readonly #last = new Map<string, string | null>();
  #seq = 0;
  #hash = LOG_START;

  constructor(kept: KeptRefs, report: Report) {
    this.#kept = kept;
    this.#report = report;
  }

  /** The number of the last row that was taken in. */
  get seq(): number {
    return this.#seq;
  }

  /** Takes in the next rows; those that came after the refs were read are left out. */
  take(rows: readonly LogLink[]): void {
    const known = rows.filter(({ seq }) => seq <= this.#kept.logSeq);
    const first = known[0];
    if (!first) return;
    const broken = first.seq === this.#seq + 1 ? brokenLink(known, this.#hash) : this.#seq + 1;
    if (broken !== null) this.#bad(broken, 'the chain of the log breaks at this row');
    for (const { ref, from, to, seq } of known) {
      const before = this.#last.get(ref);
      if (before !== undefined && before !== from) this.#bad(seq, `the row does not go on where ${ref} was`);
      this.#last.set(ref, to);
    }
    this.#seq = known.at(-1)?.seq ?? this.#seq;
    this.#hash = known.at(-1)?.hash ?? this.#hash;
  }

  /** After the last row: whether the log ends where the course says, and whether each ref is where its last row put it. */
  finish(): void {
    const { defaultBranch, logSeq, logHash, refs } = this.#kept;
    if (this.#seq !== logSeq)
      this.#bad(this.#seq + 1, `the log ends before row ${logSeq}, which the course says it has`);
    else if (this.#hash !== logHash) this.#bad(logSeq, 'the last row is not the one that the course remembers');
    const there = new Set(refs.map(logName));
    for (const ref of refs) this.#checkRef(ref);
    for (const [name, to] of this.#last)
      if (to !== null && !there.has(name))
        this.#report('bad_ref', name, `the log left ${name} at ${to}, and it is not there`);
    if (!there.has(defaultBranch)) this.#report('bad_ref', defaultBranch, 'the default branch is not there');
  }

  #checkRef(ref: KeptRef): void {
    const name = logName(ref);
    const logged = this.#last.get(name);
    if (ref.kind === 'hidden' || logged === ref.commit) return;
    // Only branches are sure to be in the log.
    if (logged === undefined && ref.kind !== 'branch') return;
    const where = logged == null ? 'nowhere' : logged;
    this.#report('bad_ref', name, `it is at ${ref.commit}, the log left it at ${where}`);
  }

  #bad(seq: number, message: string): void {
    this.#report('bad_ref_log', String(seq), message);
  }
}
