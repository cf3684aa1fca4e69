/** What may be refused so often before it is given up. */
interface Refusals {
  readonly seq: number;
  readonly count: number;
  /** When the next refusal counts. */
  readonly next: number;
}

/** Pauses between tries at what a handler refuses, in milliseconds; after the last of them one more refusal is the end. */
export const patiencePausesMs: readonly number[] = [200, 400, 800, 1_600];

const mostCourses = 10_000;

/**
 * Counts, course by course, how often the event that is next there was refused. Refusals that follow one another faster than the pauses
 * count once, so that several messages of one course in one batch do not use up its patience. Kept in memory: a restart begins anew.
 */
export class Patience {
  private readonly courses = new Map<string, Refusals>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Notes a refusal. True when it was the last that could be borne. */
  isOver(courseId: string, seq: number): boolean {
    const known = this.courses.get(courseId);
    const before = known?.seq === seq ? known : { seq, count: 0, next: 0 };
    const now = this.now();
    if (now < before.next) return false;
    const pause = patiencePausesMs[before.count];
    if (pause === undefined) return true;
    if (this.courses.size >= mostCourses && known === undefined) this.courses.delete(this.courses.keys().next().value!);
    this.courses.set(courseId, { seq, count: before.count + 1, next: now + pause });
    return false;
  }

  forget(courseId: string): void {
    this.courses.delete(courseId);
  }
}
