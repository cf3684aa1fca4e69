import { narrowed } from '@coursewright/course-model/audience';
import { MAX_LESSON_BYTES, type Audience, type LessonInput } from '@coursewright/course-model/lesson';
import { isCDATA, isTag, isText, type Element, type ParentNode } from 'domhandler';
import type { Pause } from '../archive.js';
import { importedId } from '../import-plan.js';
import type { ImportBook } from '../import-report.js';
import { withAssets } from './asset-links.js';
import { ownAudience } from './audience.js';
import { CONTAINERS, isSelective, whyAuthorsOnly } from './containers.js';
import { FittedItems } from './fitted-items.js';
import { itemOfLeaf, looseText, type LeafItem } from './leaf.js';
import { tooDeep } from './limits.js';
import { nameOf, type Block, type OlxFiles } from './olx-files.js';
import { escapeText } from '../escape.js';
import { noteShrunk, shrink } from './shrink.js';
import { answerOf, isTrue, textValue } from './values.js';
import { htmlWrittenOut, innerHtml, isHeavier, lengthOf, textOf, writtenOut } from './xml.js';

/** What the reading of one course shares. */
export interface Reading {
  readonly files: OlxFiles;
  readonly importId: string;
  readonly book: ImportBook;
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
  isDraft: boolean;
}

/** Parts (elements, attributes, texts) of one block; more is no question and no text that somebody wrote. */
const MAX_DOM_NODES = 10_000;
/** Blocks inside of each other, files and all. */
const MAX_NESTED = 150;

/**
 * The document of a lesson from the leaf blocks below an element, in their order. Blocks without a counterpart are kept whole
 * for authors and listed; what does not fit into a document of 1 MiB becomes a file and is listed. `first` is the place of the first of them
 * among what stands beside it in the source, by which blocks without a name are told apart.
 *
 * @throws AppError unprocessable OLX_TOO_DEEP, OLX_TOO_LARGE
 */
export async function lessonContent(
  reading: Reading,
  parent: ParentNode,
  standing: Standing,
  { objectives = [], first = 0 }: { readonly objectives?: readonly string[]; readonly first?: number } = {},
): Promise<LessonInput> {
  const place = standing.above.at(-1) ?? '';
  const own = objectives.map((text, i) => ({ id: importedId(reading.importId, `${place}#objective:${i}`), text }));
  const { book, files } = reading;
  const items = new FittedItems({ book, keeper: files.files.source.keeper }, own);
  await readLeaves(reading, parent, { ...standing, place, first }, items);
  await reading.pause();
  return items.document();
}

async function readLeaves(
  reading: Reading,
  parent: ParentNode,
  standing: Standing & { place: string; first: number },
  items: FittedItems,
): Promise<void> {
  if (standing.above.length > MAX_NESTED) throw tooDeep();
  let i = standing.first - 1;
  let texts = 0;
  for (const node of parent.children) {
    await reading.pause();
    if (isText(node) || isCDATA(node)) {
      const text = textOf(node).trim();
      if (text !== '') await addText(reading, { key: `${standing.place}/text[${texts++}]`, text }, items);
    }
    if (!isTag(node)) continue;
    i++;
    // Open edX writes the children of a conditional a second time, as names of its condition.
    if (node.name === 'show' && node.attribs['url_name'] === undefined) continue;
    const block = await reading.files.resolve(node, `${standing.place}/${node.name}[${i}]`, standing);
    if (standing.above.includes(block.key)) {
      reading.book.lose({ source: block.key, what: 'holds itself; it is not read a second time', kept: false });
    } else await readBlock(reading, block, standing, items);
    reading.files.close(block);
  }
}

/** A text between blocks, which Open edX shows to nobody, is for authors. */
async function addText(reading: Reading, at: { key: string; text: string }, items: FittedItems): Promise<void> {
  const { book, importId } = reading;
  const key = reading.uniqueKey(at.key);
  book.report.read++;
  book.report.kept++;
  book.lose({
    source: key,
    what: 'is text between blocks, which its source shows to nobody; kept for authors',
    kept: true,
  });
  if (await items.add(looseText({ id: importedId(importId, key), key, html: `<p>${escapeText(at.text)}</p>` })))
    book.report.items++;
}

async function readBlock(
  reading: Reading,
  found: Block,
  standing: Standing & { place: string },
  items: FittedItems,
): Promise<void> {
  const { element } = found;
  const block = { ...found, key: reading.uniqueKey(found.key) };
  const within = {
    ...standing,
    audience: audienceOf(reading, block.key, element, standing.audience),
    graded: gradedOf(element.attribs['graded'], standing.graded),
  };
  await readLeaf(reading, block, within, items);
  if (!CONTAINERS.has(element.name) || block.problem !== undefined) return;
  const audience = isSelective(element) ? narrowed(within.audience, 'author') : within.audience;
  const above = [...standing.above, found.key];
  await readLeaves(reading, element, { ...within, audience, place: block.key, first: 0, above }, items);
}

/** What a block says of itself goes over what those above it say, as in its source. */
function gradedOf(attribute: string | undefined, inherited: boolean): boolean {
  const isSaid = textValue(attribute) !== undefined && answerOf(attribute) !== 'unclear';
  return isSaid ? isTrue(attribute) : inherited;
}

function audienceOf(reading: Reading, key: string, element: Element, inherited: Audience): Audience {
  const own = ownAudience(element.attribs);
  if (own.why !== undefined) reading.book.lose({ source: key, what: own.why, kept: true });
  return narrowed(inherited, own.audience);
}

async function readLeaf(reading: Reading, block: Block, standing: Standing, items: FittedItems): Promise<void> {
  const { book } = reading;
  const { report } = book;
  report.read++;
  const { item, whyKept } = await itemOf(reading, block, standing);
  await reading.pause();
  const { listed, missing } = await withAssets(item, (name) => reading.files.files.asset(name));
  if (whyKept !== undefined) book.lose({ source: block.key, what: whyKept, kept: true });
  for (const what of item.remarks) book.lose({ source: block.key, what, kept: true });
  for (const link of missing)
    book.lose({ source: block.key, what: `names ${link}, which is not in the archive`, kept: false });
  const isPlaced = await items.add(listed);
  if (isPlaced) report.items++;
  if (isPlaced && !item.kept && listed.item.audience === 'learner') report.mapped++;
  else report.kept++;
}

/** The item of a block, and why it is only for authors. */
async function itemOf(
  reading: Reading,
  block: Block,
  standing: Standing,
): Promise<{ item: LeafItem; whyKept?: string }> {
  const { element, problem } = block;
  const common = {
    id: importedId(reading.importId, block.key),
    key: block.key,
    element,
    audience: standing.audience,
    graded: standing.graded,
  };
  const isHtml = element.name === 'html' && problem === undefined;
  if (!isHtml && isTooMuch(block)) {
    const raw = block.raw ?? (await writtenOut(element, reading.pause));
    const whyKept = `has more than ${MAX_LESSON_BYTES} characters, or more than ${MAX_DOM_NODES} elements, attributes and texts; kept for authors as it came`;
    return { item: itemOfLeaf({ ...common, raw }), whyKept };
  }
  const found = isHtml ? await htmlOf(reading, block, standing) : undefined;
  const html = found === undefined ? undefined : await fittingHtml(reading, block.key, found);
  const raw = problem === undefined ? undefined : (block.raw ?? (await writtenOut(element, reading.pause)));
  const item = itemOfLeaf({
    ...common,
    ...(html === undefined ? {} : { html }),
    ...(raw === undefined ? {} : { raw }),
  });
  // Of a question or a video that is kept its own remarks say why.
  if (!item.kept || !item.item.type.startsWith('vendor/')) return { item };
  return { item, whyKept: problem ?? whyAuthorsOnly(element) };
}

/** Whether a block is too much to be looked at: reading it would take long, and no document has room for it. */
function isTooMuch({ element, raw }: Block): boolean {
  return Math.max(raw?.length ?? 0, lengthOf(element)) > 2 * MAX_LESSON_BYTES || isHeavier(element, MAX_DOM_NODES);
}

/** HTML that no lesson has room for, made smaller before anything else is done with so long a text. */
async function fittingHtml({ book, files, pause }: Reading, key: string, html: string): Promise<string> {
  let content = html;
  while (content.length > MAX_LESSON_BYTES) {
    await pause();
    const listed = { list: 'materials' as const, item: { type: 'text/html', content } };
    const shrunk = await shrink(listed, files.files.source.keeper);
    if (shrunk === undefined) break;
    noteShrunk(book, key, shrunk);
    content = String((shrunk.listed.item as { content: unknown }).content);
  }
  return content;
}

/** The HTML of an html block: that of the file it names, else what stands inside. Undefined when the file is missing. */
async function htmlOf(reading: Reading, block: Block, standing: Standing): Promise<string | undefined> {
  const { element } = block;
  const name = element.attribs['filename'];
  if (name !== undefined && name !== '') {
    // The name is meant from the folder of the file that says it: of `html/a/b.xml`, which stands for `a:b`, from `html/a/`.
    const folders = (element.attribs['url_name'] ?? '').split(':').slice(0, -1);
    const places = folders.length === 0 ? [name] : [`${folders.join('/')}/${name}`, name];
    for (const place of places.flatMap((one) => [`html/${one}.html`, `html/${one}`])) {
      const text = await reading.files.text(place, standing);
      if (text !== undefined) return text;
    }
    return undefined;
  }
  if (element.children.length > 0 || nameOf(element) === undefined)
    return isHeavier(element, MAX_DOM_NODES) ? htmlWrittenOut(element, reading.pause) : innerHtml(element);
  const own = element.attribs['url_name'];
  return own === undefined ? '' : ((await reading.files.text(`html/${own}.html`, standing)) ?? '');
}
