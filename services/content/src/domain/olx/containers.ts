import type { Element } from 'domhandler';

/** Blocks that hold other blocks; inside of a lesson their children become items on their own. */
export const CONTAINERS: ReadonlySet<string> = new Set(
  'course chapter sequential problemset videosequence vertical wrapper library_content itembank split_test conditional randomize'.split(
    ' ',
  ),
);

/** What a learner sees of the children of containers that choose, and what becomes of them here. */
const CHOOSING = new Map([
  ['split_test', 'shows each learner the children of one group only; here they are for authors'],
  ['conditional', 'shows its children once a condition is met; here they are for authors'],
  ['randomize', 'shows each learner one of its children; here they are for authors'],
]);
/** What is said of those that show a selection that anybody may see. */
const DRAWING = new Map([
  ['library_content', 'shows each learner some of its children, drawn at random; here learners see all of them'],
  ['itembank', 'shows each learner some of its children, drawn at random; here learners see all of them'],
]);

/** Whether an element shows a learner some of its children only, by rules that have no counterpart. */
export function isSelective(element: Element): boolean {
  return CHOOSING.has(element.name);
}

/** Why a block is kept for authors, and what learners see of what it holds. */
export function whyAuthorsOnly(element: Element): string {
  const { name } = element;
  if (name === 'html') return 'names a file that is not in the archive, or is too large to be read; kept for authors';
  const chosen = CHOOSING.get(name) ?? DRAWING.get(name);
  if (chosen !== undefined) return `<${name}> ${chosen}. The block itself is kept as it came, for authors`;
  if (CONTAINERS.has(name))
    return `<${name}> groups its children, which follow it as items of their own and are seen by learners; the block itself is kept for authors`;
  return `<${name}> has no counterpart; kept as it came, for authors: learners see nothing of it`;
}
