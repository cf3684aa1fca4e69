import { narrowed } from '@coursewright/course-model/audience';
import type { Audience } from '@coursewright/course-model/lesson';
import { firstPoints } from '@coursewright/course-model/text-length';
import { applyTextRules } from '@coursewright/course-model/text-rules';
import { Element, isTag } from 'domhandler';
import { COURSE_KEY, importedId, type PlannedNode } from '../import-plan.js';
import type { ImportBook } from '../import-report.js';
import {
  LANGUAGE,
  asCourse,
  MAX_TITLE,
  namedValues,
  narrow,
  readNodeAttributes,
  titleOf,
  withoutObjectives,
  type NodeAttributes,
} from './attributes.js';
import { ownAudience } from './audience.js';
import { isSelective } from './containers.js';
import type { Source } from './course-files.js';
import { Drafts, type Draft } from './drafts.js';
import { keepBroken, keepSetting, keepText, readDescription } from './kept-beside.js';
import { lessonContent, type Reading } from './lesson-content.js';
import { tooLarge } from './limits.js';
import { nameOf, OlxFiles, type Block } from './olx-files.js';
import { textValue } from './values.js';

/** The levels of OLX, and the kinds that stand on them here. Any other element is a leaf. */
const LEVELS = new Map([
  ['course', 0],
  ['chapter', 1],
  ['sequential', 2],
  ['problemset', 2],
  ['videosequence', 2],
  ['vertical', 3],
]);
const LEAF = 4;
const KINDS = ['course', 'unit', 'module', 'lesson'] as const;
const COUNTED = { unit: 'units', module: 'modules', lesson: 'lessons', assignment: 'assignments' } as const;

/** Children of a course that are settings, not blocks. */
const SETTINGS = new Set(['wiki', 'textbook', 'pdf_textbook', 'html_textbook', 'grading_policy', 'license']);

/** More than this many parts are refused: pointers that share children can describe any number in a few lines. */
const MAX_BLOCKS = 500_000;
/** Characters of the keys of all parts: they are held as long as the course is read. */
const MAX_KEYS = 32 * 1024 * 1024;

interface Parent {
  level: number;
  id: string | null;
  graded: boolean;
  audience: Audience;
  above: readonly string[];
  isDraft: boolean;
}

interface CourseReading extends Reading {
  readonly drafts: Drafts;
}

type Nodes = AsyncGenerator<PlannedNode, void>;

/**
 * Reads an OLX course (Open edX) and yields its nodes in document order: chapter = unit, sequential = module, vertical =
 * lesson (assignment where it says `coursewright_kind="assignment"`), leaf blocks = items of the lesson in their order. Levels
 * that OLX lets a course skip are filled in. The book is brought up to date as nodes are yielded; it is complete at the end.
 * The same archive and import id give the same nodes with the same ids. Between two pauses there is a bounded amount of work.
 *
 * @throws AppError unprocessable OLX_NO_COURSE, OLX_LIBRARY, OLX_BROKEN_XML, OLX_TOO_DEEP, OLX_TOO_LARGE
 */
export async function* readOlxCourse(source: Source & { readonly importId: string }): Nodes {
  const { importId, book, pause } = source;
  const { files, root: block } = await OlxFiles.open(source);
  const drafts = await Drafts.read(files);
  const reading: CourseReading = { files, importId, book, pause, drafts, uniqueKey: uniqueKeys(book) };
  const root = await rootNode(reading, block);
  yield root.node;
  await files.files.storeStatics();
  yield* children(reading, block.element, root.parent);
  yield* homelessDrafts(reading, root.parent);
  await files.files.keepUnused();
}

/** Makes the keys of parts unique, as long as there are not too many. */
function uniqueKeys(book: ImportBook): (key: string) => string {
  const seen = new Map<string, number>();
  let length = 0;
  return (key) => {
    length += key.length;
    if (seen.size >= MAX_BLOCKS) throw tooLarge('parts', MAX_BLOCKS);
    if (length > MAX_KEYS) throw tooLarge('characters in the names of its parts', MAX_KEYS);
    let n = (seen.get(key) ?? 0) + 1;
    seen.set(key, n);
    if (n === 1) return key;
    // A block may be called what another one becomes.
    while (seen.has(`${key}#${n}`)) n += 1;
    seen.set(key, n);
    book.lose({ source: key, what: `is used in ${n} places; each use is a part of its own from now on`, kept: true });
    const unique = `${key}#${n}`;
    seen.set(unique, 1);
    return unique;
  };
}

async function rootNode(reading: CourseReading, block: Block): Promise<{ node: PlannedNode; parent: Parent }> {
  const key = reading.uniqueKey(block.key);
  const { attribs } = block.element;
  const read = readNodeAttributes(attribs, nameOf(block.element) ?? 'Untitled');
  const language = textValue(attribs['language']);
  if (language !== undefined && LANGUAGE.test(language)) {
    read.fields['language'] ??= language;
    read.left.delete('language');
  }
  await readDescription(reading, read);
  asCourse(read, attribs);
  const id = importedId(reading.importId, COURSE_KEY);
  const made = { block: { ...block, key }, read, kind: 'course' as const, id, parentId: null };
  const node = await nodeOf(reading, { ...made, audience: 'learner' });
  const audience = reading.files.isPolicyUnclear ? narrowed('author', read.audience) : read.audience;
  const sourceId = [attribs['org'], attribs['course'], block.key].map((part) => part ?? '').join('/');
  return {
    node: { ...node, sourceId },
    parent: { level: 0, id, graded: read.fields['graded'] === true, audience, above: [block.key], isDraft: false },
  };
}

/** A child of an element, where it stands among the elements of it. */
interface Child {
  element: Element;
  /** Its place among the elements beside it. */
  index: number;
  place: string;
  isDraft: boolean;
}

async function* children(reading: CourseReading, element: Element, parent: Parent): Nodes {
  for (const child of await childrenOf(reading, element, parent)) {
    await reading.pause();
    const { name } = child.element;
    if (parent.level === 0 && SETTINGS.has(name)) {
      await keepSetting(reading, child.element, `${parent.above.at(-1) ?? ''}/${name}`);
      continue;
    }
    const level = LEVELS.get(name) ?? LEAF;
    const isNext = level === parent.level + 1 || (level === 2 && parent.level === 0);
    if (level > parent.level && level < LEAF && isNext) yield* nodeAt(reading, child, parent);
    else yield* withMissingLevels(reading, child, parent);
  }
}

async function childrenOf(reading: CourseReading, element: Element, parent: Parent): Promise<Child[]> {
  const above = parent.above.at(-1) ?? '';
  const found: Child[] = [];
  let texts = 0;
  for (const node of element.children) {
    const index = found.length;
    if (isTag(node))
      found.push({ element: node, index, place: `${above}/${node.name}[${index}]`, isDraft: parent.isDraft });
    else await keepText(reading, node, () => `${above}/text[${texts++}]`);
  }
  const name = nameOf(element);
  const drafts = parent.level === 2 && name !== undefined ? reading.drafts.take(name) : [];
  for (const draft of drafts) {
    const published = found.findIndex((child) => !child.isDraft && nameOf(child.element) === draft.name);
    found.splice(published < 0 ? draft.index : published + 1, 0, childOf(draft));
  }
  return found;
}

function childOf({ name }: Draft): Child {
  return { element: new Element('vertical', { url_name: name }, []), index: 0, place: `drafts/${name}`, isDraft: true };
}

/** A unit for authors with the drafts that name no sequential of the course. */
async function* homelessDrafts(reading: CourseReading, root: Parent): Nodes {
  const drafts = reading.drafts.rest();
  if (drafts.length === 0) return;
  let parent: Parent = { ...root, audience: narrowed(root.audience, 'author'), isDraft: true };
  for (const kind of ['unit', 'module'] as const) {
    const key = reading.uniqueKey(`drafts#${kind}`);
    const id = importedId(reading.importId, key);
    const fields = { title: 'Drafts', audience: parent.audience };
    reading.book.report.counts[COUNTED[kind]]++;
    yield { id, parentId: parent.id, kind, fields, source: { format: 'olx', key } };
    parent = { ...parent, level: parent.level + 1, id };
  }
  reading.book.lose({ source: 'drafts', what: 'name no part of the course; a unit was made for them', kept: true });
  for (const draft of drafts) yield* nodeAt(reading, childOf(draft), parent);
}

/** A node for an element that stands on the level below its parent's. */
async function* nodeAt(reading: CourseReading, child: Child, parent: Parent): Nodes {
  const block = await reading.files.resolve(child.element, child.place, child);
  if (parent.above.includes(block.key))
    reading.book.lose({ source: block.key, what: 'holds itself; it is not read a second time', kept: false });
  else yield* blockNodes(reading, block, { ...parent, isDraft: child.isDraft });
  reading.files.close(block);
}

async function* blockNodes(reading: CourseReading, block: Block, parent: Parent): Nodes {
  const { element } = block;
  const level = LEVELS.get(element.name) ?? LEAF;
  const key = reading.uniqueKey(block.key);
  const read = readNodeAttributes(element.attribs, nameOf(element) ?? element.name);
  if (parent.isDraft) {
    narrow(read, 'author');
    read.remarks.push('was not published in its source; kept for authors');
  }
  if (parent.level === 0) narrow(read, parent.audience);
  if (level !== 3) withoutObjectives(read, element.attribs);
  const kind = level === 3 && read.assignment ? 'assignment' : (KINDS[level] ?? 'lesson');
  const id = importedId(reading.importId, key);
  if (block.problem !== undefined) await keepBroken(reading, { ...block, key });
  const audience = narrowed(parent.audience, read.audience);
  const node = await nodeOf(reading, { block: { ...block, key }, read, kind, id, parentId: parent.id, audience });
  const within = {
    level,
    id,
    audience,
    graded: typeof read.fields['graded'] === 'boolean' ? read.fields['graded'] : parent.graded,
    above: [...parent.above, block.key],
    isDraft: parent.isDraft,
  };
  if (level !== 3) {
    yield node;
    yield* children(reading, element, within);
    return;
  }
  yield { ...node, content: await lessonContent(reading, element, within, read) };
}

/** Fills in the levels that are missing between a parent and an element further down, or one that stands where it does not belong. */
async function* withMissingLevels(reading: CourseReading, child: Child, parent: Parent): Nodes {
  const { element, place } = child;
  const level = LEVELS.get(element.name) ?? LEAF;
  const target = level > parent.level && level < LEAF ? level : LEAF;
  const found = await reading.files.resolve(element, place, child);
  reading.files.close(found);
  // What is made for a part alone bears its title, and is for the same people.
  const own = isSelective(element) ? 'author' : ownAudience(found.element.attribs).audience;
  const audience = narrowed(parent.level === 0 ? parent.audience : 'learner', own);
  const title = firstPoints(titleOf(found.element.attribs) ?? 'Untitled', MAX_TITLE);
  const fields = tidy({ title, ...(audience === 'learner' ? {} : { audience }) });
  let current = parent;
  // A module may hang directly under the course: no unit is made up for it.
  for (let below = Math.max(parent.level + 1, 2); below < target; below++) {
    const kind = KINDS[below] ?? 'lesson';
    const key = reading.uniqueKey(`${found.key}#${kind}`);
    const id = importedId(reading.importId, key);
    reading.book.report.counts[COUNTED[kind === 'course' ? 'lesson' : kind]]++;
    reading.book.lose({ source: found.key, what: `stands in no ${kind}; one was made for it`, kept: true });
    const node: PlannedNode = { id, parentId: current.id, kind, fields, source: { format: 'olx', key } };
    current = { ...current, level: below, id };
    if (below < 3) yield node;
    else {
      const holder = new Element('vertical', {}, []);
      holder.children = [element];
      yield { ...node, content: await lessonContent(reading, holder, parent, { first: child.index }) };
    }
  }
  if (target < LEAF) yield* nodeAt(reading, child, current);
}

interface Made {
  block: Block;
  read: NodeAttributes;
  kind: PlannedNode['kind'];
  id: string;
  parentId: string | null;
  /** For whom it is, what is above it counted in. */
  audience: Audience;
}

async function nodeOf(reading: CourseReading, made: Made): Promise<PlannedNode> {
  const { block, read, kind, id, parentId, audience } = made;
  const { book, files } = reading;
  const { report } = book;
  const { key: source } = block;
  report.read++;
  if (audience === 'learner') report.mapped++;
  else report.kept++;
  if (kind !== 'course') report.counts[COUNTED[kind]]++;
  for (const what of read.remarks) book.lose({ source, what, kept: true });
  const beside = Object.fromEntries([...read.held, ...read.left]);
  if (read.held.size + read.left.size > 0) await files.files.keepAttributes(source, beside);
  if (read.left.size > 0) {
    const what = `attributes without a counterpart, kept beside the course: ${namedValues(read.left)}`;
    book.lose({ source, what, kept: true });
  }
  return { id, parentId, kind, fields: tidy(read.fields), source: { format: 'olx', key: source } };
}

function tidy(fields: Record<string, unknown>): Record<string, unknown> {
  return applyTextRules(fields).value as Record<string, unknown>;
}
