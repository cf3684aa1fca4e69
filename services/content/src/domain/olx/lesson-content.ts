import { narrowed } from '@coursewright/course-model/audience';
import { MAX_LESSON_BYTES, type Audience, type LessonInput } from '@coursewright/course-model/lesson';
import type { Element, ParentNode } from 'domhandler';
import type { Pause } from '../archive.js';
import { importedId } from '../import-plan.js';
import { addLoss, type ImportReport } from '../import-report.js';
import { cutText } from '../text.js';
import { ownAudience } from './audience.js';
import { FittedItems } from './fitted-items.js';
import { itemOfLeaf } from './leaf.js';
import type { Block, OlxFiles } from './olx-files.js';
import { elementsOf, innerHtml, isHeavier, lengthOf, xmlOf } from './xml.js';
import { tooDeep } from './xml-parse.js';

/** What the reading of one course shares. */
export interface Reading {
  readonly files: OlxFiles;
  readonly importId: string;
  readonly report: ImportReport;
  readonly pause: Pause;
  /** The key that stands for a block, made unique: a block that is used twice is two parts of the course. */
  uniqueKey(key: string): string;
}

/** How a block stands in its lesson. */
export interface Standing {
  graded: boolean;
  audience: Audience;
  /** Keys of the blocks above it, to find those that hold themselves. */
  above: readonly string[];
}

/** Blocks that hold other blocks; inside of a lesson their children become items on their own. */
const CONTAINERS = new Set(
  'course chapter sequential problemset videosequence vertical wrapper library_content itembank split_test conditional randomize'.split(
    ' ',
  ),
);
/** Containers that show a learner some of their children only, by rules that have no counterpart. */
const SELECTIVE = new Set(['split_test', 'conditional', 'randomize']);

/** Parts (elements, attributes, texts) of one block; more is no question and no text that somebody wrote. */
const MAX_PARTS = 10_000;
/** Blocks inside of each other, files and all. */
const MAX_NESTED = 150;

/**
 * The document of a lesson from the leaf blocks below an element, in their order. Blocks without a counterpart are kept whole
 * for authors and listed; what does not fit into a document of 1 MiB is listed and left out.
 *
 * @throws AppError unprocessable OLX_TOO_DEEP, OLX_TOO_LARGE
 */
export async function lessonContent(
  reading: Reading,
  parent: ParentNode,
  standing: Standing,
  objectives: readonly string[],
): Promise<LessonInput> {
  const place = standing.above.at(-1) ?? '';
  const own = objectives.map((text, i) => ({ id: importedId(reading.importId, `${place}#objective:${i}`), text }));
  const items = new FittedItems(reading.report, own);
  await readLeaves(reading, elementsOf(parent), { ...standing, place }, items);
  await reading.pause();
  return items.document();
}

async function readLeaves(
  reading: Reading,
  elements: readonly Element[],
  standing: Standing & { place: string },
  items: FittedItems,
): Promise<void> {
  if (standing.above.length > MAX_NESTED) throw tooDeep();
  for (const [i, element] of elements.entries()) {
    await reading.pause();
    const block = await reading.files.resolve(element, `${standing.place}/${element.name}[${i}]`);
    if (standing.above.includes(block.key)) {
      addLoss(reading.report, { source: block.key, what: 'holds itself; it is not read a second time', kept: false });
    } else await readBlock(reading, block, standing, items);
    reading.files.close(block);
  }
}

async function readBlock(reading: Reading, found: Block, standing: Standing, items: FittedItems): Promise<void> {
  const { element } = found;
  const block = { ...found, key: reading.uniqueKey(found.key) };
  const within = { ...standing, audience: audienceOf(reading, block.key, element, standing.audience) };
  await readLeaf(reading, block, within, items);
  if (!CONTAINERS.has(element.name) || block.problem !== undefined) return;
  const audience = isSelective(element) ? narrowed(within.audience, 'author') : within.audience;
  const below = elementsOf(element).filter((child) => child.attribs['url_name'] !== undefined || child.name !== 'show');
  const above = [...standing.above, found.key];
  await readLeaves(reading, below, { ...within, audience, place: block.key, above }, items);
}

/** Whether an element shows a learner some of its children only, by rules that have no counterpart. */
export function isSelective(element: Element): boolean {
  return SELECTIVE.has(element.name);
}

function audienceOf(reading: Reading, key: string, element: Element, inherited: Audience): Audience {
  const own = ownAudience(element.attribs);
  if (own.why !== undefined) addLoss(reading.report, { source: key, what: own.why, kept: true });
  return narrowed(inherited, own.audience);
}

async function readLeaf(reading: Reading, block: Block, standing: Standing, items: FittedItems): Promise<void> {
  const { report } = reading;
  report.read++;
  report.items++;
  const html =
    block.element.name === 'html' && block.problem === undefined
      ? await htmlOf(reading, block.key, block.element)
      : undefined;
  const id = importedId(reading.importId, block.key);
  const why = tooMuch(block, html);
  if (why !== undefined) {
    report.mapped++;
    items.addEmpty({ id, source: { format: 'olx', key: cutText(block.key, 500) } }, why);
    return;
  }
  const item = itemOfLeaf({
    id,
    key: block.key,
    element: block.element,
    audience: standing.audience,
    graded: standing.graded,
    ...(html === undefined ? {} : { html }),
    ...(block.problem === undefined ? {} : { raw: block.raw ?? xmlOf(block.element) }),
  });
  if (item.kept) {
    report.kept++;
    addLoss(report, { source: block.key, what: block.problem ?? whyKept(block.element), kept: true });
  } else report.mapped++;
  await reading.pause();
  items.add(item);
}

/** Why a block is too much to be looked at: reading it would take long, and no document has room for it. */
function tooMuch({ element, raw }: Block, html: string | undefined): string | undefined {
  const length = Math.max(raw?.length ?? 0, html?.length ?? 0, lengthOf(element));
  if (length > MAX_LESSON_BYTES)
    return `${length} characters do not fit into a lesson document of ${MAX_LESSON_BYTES} bytes`;
  return isHeavier(element, MAX_PARTS) ? `it has more than ${MAX_PARTS} elements, attributes and texts` : undefined;
}

function whyKept(element: Element): string {
  if (element.name === 'html') return 'names a file that is not in the archive';
  if (CONTAINERS.has(element.name)) {
    return `<${element.name}> chooses or groups its children by rules without a counterpart; they follow it as items of their own`;
  }
  return `<${element.name}> has no counterpart; kept as it came, for authors`;
}

/** The HTML of an html block: that of the file it names, else what stands inside. Undefined when the file is missing. */
async function htmlOf(reading: Reading, key: string, element: Element): Promise<string | undefined> {
  const name = element.attribs['filename'];
  if (name !== undefined && name !== '')
    return (await reading.files.text(`html/${name}.html`)) ?? reading.files.text(`html/${name}`);
  if (element.children.length > 0 || key.includes('[')) {
    // What is too much for a document is found out before it is made a text.
    const fits = lengthOf(element) <= MAX_LESSON_BYTES && !isHeavier(element, MAX_PARTS);
    return fits ? innerHtml(element) : '';
  }
  return (await reading.files.text(`${key.split('#')[0]}.html`)) ?? '';
}
