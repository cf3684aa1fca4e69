import { MAX_LESSON_BYTES, PAGE_LISTS, type Audience, type LessonInput } from '@coursewright/course-model/lesson';
import type { Element } from 'domhandler';
import { importedId } from '../import-plan.js';
import { addLoss, type ImportReport } from '../import-report.js';
import { isForGroups, isStaffOnly } from './attributes.js';
import { itemOfLeaf, type LeafItem } from './leaf.js';
import type { OlxFiles } from './olx-files.js';
import { elementsOf, innerHtml, xmlOf } from './xml.js';

/** What the reading of one course shares. */
export interface Reading {
  readonly files: OlxFiles;
  readonly importId: string;
  readonly report: ImportReport;
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

/** Room for the frame of a document round its items. */
const FRAME_BYTES = 4096;

/**
 * The document of a lesson from the leaf blocks below an element, in their order. Blocks without a counterpart are kept whole
 * for authors and listed; what does not fit into a document of 1 MiB is listed and left out.
 */
export function lessonContent(
  reading: Reading,
  parent: Element,
  standing: Standing,
  objectives: readonly string[],
): LessonInput {
  const items = [...leavesOf(reading, elementsOf(parent), { ...standing, place: standing.above.at(-1) ?? '' })];
  return fit(reading, documentOf(reading, items, { objectives, key: standing.above.at(-1) ?? '' }));
}

function documentOf(
  reading: Reading,
  items: readonly LeafItem[],
  of: { objectives: readonly string[]; key: string },
): LessonInput {
  return {
    objectives: of.objectives.map((text, i) => ({
      id: importedId(reading.importId, `${of.key}#objective:${i}`),
      text,
    })),
    materials: items.flatMap((leaf) => (leaf.list === 'materials' ? [leaf.item] : [])),
    exercises: items.flatMap((leaf) => (leaf.list === 'exercises' ? [leaf.item] : [])),
    assessments: items.flatMap((leaf) => (leaf.list === 'assessments' ? [leaf.item] : [])),
    order: items.flatMap((leaf) => leaf.item.id ?? []),
  };
}

function* leavesOf(
  reading: Reading,
  elements: readonly Element[],
  standing: Standing & { place: string },
): Generator<LeafItem> {
  for (const [i, element] of elements.entries()) {
    const block = reading.files.resolve(element, `${standing.place}/${element.name}[${i}]`);
    if (standing.above.includes(block.key)) {
      addLoss(reading.report, { source: block.key, what: 'holds itself; it is not read a second time', kept: false });
      continue;
    }
    const key = reading.uniqueKey(block.key);
    const within = { ...standing, audience: audienceOf(reading, key, block.element, standing.audience) };
    yield readLeaf(reading, { ...block, key }, within);
    if (CONTAINERS.has(element.name) && block.problem === undefined) {
      const audience = SELECTIVE.has(element.name) ? 'author' : within.audience;
      const below = elementsOf(block.element).filter(
        (child) => child.attribs['url_name'] !== undefined || child.name !== 'show',
      );
      yield* leavesOf(reading, below, { ...within, audience, place: key, above: [...standing.above, block.key] });
    }
  }
}

function audienceOf(reading: Reading, key: string, element: Element, inherited: Audience): Audience {
  if (!isStaffOnly(element.attribs)) return inherited;
  const what = isForGroups(element.attribs)
    ? 'is for some groups of learners only; kept for authors'
    : 'is for staff only; kept for authors';
  addLoss(reading.report, { source: key, what, kept: true });
  return 'author';
}

function readLeaf(reading: Reading, block: ReturnType<OlxFiles['resolve']>, standing: Standing): LeafItem {
  const { report } = reading;
  const html =
    block.element.name === 'html' && block.problem === undefined
      ? htmlOf(reading, block.key, block.element)
      : undefined;
  const item = itemOfLeaf({
    id: importedId(reading.importId, block.key),
    key: block.key,
    element: block.element,
    audience: standing.audience,
    graded: standing.graded,
    ...(html === undefined ? {} : { html }),
    ...(block.problem === undefined ? {} : { raw: block.raw ?? xmlOf(block.element) }),
  });
  report.read++;
  report.items++;
  if (item.kept) {
    report.kept++;
    addLoss(report, { source: block.key, what: block.problem ?? whyKept(block.element), kept: true });
  } else report.mapped++;
  return item;
}

function whyKept(element: Element): string {
  if (element.name === 'html') return 'names a file that is not in the archive';
  if (CONTAINERS.has(element.name)) {
    return `<${element.name}> chooses or groups its children by rules without a counterpart; they follow it as items of their own`;
  }
  return `<${element.name}> has no counterpart; kept as it came, for authors`;
}

/** The HTML of an html block: that of the file it names, else what stands inside. Undefined when the file is missing. */
function htmlOf(reading: Reading, key: string, element: Element): string | undefined {
  const name = element.attribs['filename'];
  if (name !== undefined && name !== '')
    return reading.files.text(`html/${name}.html`) ?? reading.files.text(`html/${name}`);
  if (element.children.length > 0 || key.includes('[')) return innerHtml(element);
  return reading.files.text(`${key.split('#')[0]}.html`) ?? '';
}

/** Takes the largest items out of a document until it is small enough; their places and keys stay. */
function fit(reading: Reading, doc: LessonInput): LessonInput {
  const size = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
  let total = size(doc) + FRAME_BYTES;
  if (total <= MAX_LESSON_BYTES) return doc;
  const items = PAGE_LISTS.flatMap((list) => (doc[list] ?? []).map((item) => ({ item, bytes: size(item) })));
  const gone = new Set<string>();
  for (const { item, bytes } of items.sort((a, b) => b.bytes - a.bytes)) {
    if (total <= MAX_LESSON_BYTES) break;
    total -= bytes - 500;
    gone.add(item.id ?? '');
    const what = `${bytes} bytes do not fit into a lesson document of ${MAX_LESSON_BYTES}; its place is kept empty`;
    addLoss(reading.report, { source: item.source?.key ?? '', what, kept: false });
  }
  const stays = (item: { id?: string | undefined }) => !gone.has(item.id ?? '');
  const placeholders = items.flatMap(({ item }) =>
    gone.has(item.id ?? '')
      ? [{ id: item.id, audience: 'author' as const, type: 'vendor/olx-too-large', content: '', source: item.source }]
      : [],
  );
  return {
    ...doc,
    materials: [...(doc.materials ?? []).filter(stays), ...placeholders],
    exercises: (doc.exercises ?? []).filter(stays),
    assessments: (doc.assessments ?? []).filter(stays),
  };
}
