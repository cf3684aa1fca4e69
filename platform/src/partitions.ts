/** The parts that a source's events are divided into: the last hex digits of course ids. A course is in one of them, for good. */
export const PARTITIONS: readonly string[] = [...'0123456789abcdef'];

/** The part that a course is in. */
export function partitionOf(courseId: string): string {
  return courseId.slice(-1).toLowerCase();
}
