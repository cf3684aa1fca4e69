import { narrowed } from '@coursewright/course-model/audience';
import type { Audience } from '@coursewright/course-model/lesson';
import { applyTextRules } from '@coursewright/course-model/text-rules';
import { Element } from 'domhandler';
import { COURSE_KEY, importedId, type PlannedNode } from '../import-plan.js';
import { addLoss, type ImportReport } from '../import-report.js';
import { cutText } from '../text.js';
import { LANGUAGE, narrow, readNodeAttributes, type NodeAttributes } from './attributes.js';
import { ownAudience } from './audience.js';
import { isSelective, lessonContent, type Reading } from './lesson-content.js';
import { OlxFiles, type Block, type Source } from './olx-files.js';
import { elementsOf, textOf } from './xml.js';
import { parseXml, tooLarge } from './xml-parse.js';

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
const MAX_PARTS = 500_000;
/** Characters of the keys of all parts: they are held as long as the course is read. */
const MAX_KEYS = 32 * 1024 * 1024;

interface Parent {
  level: number;
  id: string | null;
  graded: boolean;
  audience: Audience;
  above: readonly string[];
}

type Nodes = AsyncGenerator<PlannedNode, void>;

/**
 * Reads an OLX course (Open edX) and yields its nodes in document order: chapter = unit, sequential = module, vertical =
 * lesson (assignment where it says `coursewright_kind="assignment"`), leaf blocks = items of the lesson in their order. Levels
 * that OLX lets a course skip are filled in. The report is brought up to date as nodes are yielded; it is complete at the end.
 * The same archive and import id give the same nodes with the same ids. Between two pauses there is a bounded amount of work.
 *
 * @throws AppError unprocessable OLX_NO_COURSE, OLX_BROKEN_XML, OLX_TOO_DEEP, OLX_TOO_LARGE
 */
export async function* readOlxCourse(source: Source & { readonly importId: string }): Nodes {
  const { importId, report, pause } = source;
  const { files, root: block } = await OlxFiles.open(source);
  const reading: Reading = { files, importId, report, pause, uniqueKey: uniqueKeys(report) };
  const root = await rootNode(reading, block);
  yield root.node;
  yield* children(reading, block.element, root.parent);
  await files.reportUnused();
}

/** Makes the keys of parts unique, as long as there are not too many. */
function uniqueKeys(report: ImportReport): (key: string) => string {
  const seen = new Map<string, number>();
  let length = 0;
  return (key) => {
    length += key.length;
    if (seen.size >= MAX_PARTS) throw tooLarge('parts', MAX_PARTS);
    if (length > MAX_KEYS) throw tooLarge('characters in the names of its parts', MAX_KEYS);
    const n = (seen.get(key) ?? 0) + 1;
    seen.set(key, n);
    if (n === 1) return key;
    addLoss(report, {
      source: key,
      what: `is used in ${n} places; each use is a part of its own from now on`,
      kept: true,
    });
    const unique = `${key}#${n}`;
    seen.set(unique, 1);
    return unique;
  };
}

async function rootNode(reading: Reading, block: Block): Promise<{ node: PlannedNode; parent: Parent }> {
  const key = reading.uniqueKey(block.key);
  const read = readNodeAttributes(block.element.attribs, block.element.attribs['url_name'] ?? 'Untitled');
  const language = block.element.attribs['language'];
  if (language !== undefined && LANGUAGE.test(language)) read.fields['language'] = language;
  read.left = read.left.filter((name) => name !== 'language');
  const about = await reading.files.text('about/short_description.html', MAX_ABOUT_BYTES);
  if (about !== undefined && read.fields['description'] === undefined) {
    const { root } = await parseXml(`<p>${about}</p>`, reading.pause);
    read.fields['description'] = cutText((root ? textOf(root) : about).trim(), 2000);
  }
  // A course is a course for somebody: whom it is not for is said of each of its units instead.
  delete read.fields['audience'];
  const id = importedId(reading.importId, COURSE_KEY);
  const node = nodeOf(reading, { block: { ...block, key }, read, kind: 'course', id, parentId: null });
  const audience = reading.files.isPolicyUnclear ? narrowed('author', read.audience) : read.audience;
  return { node, parent: { level: 0, id, graded: false, audience, above: [block.key] } };
}

const MAX_ABOUT_BYTES = 64 * 1024;

async function* children(reading: Reading, element: Element, parent: Parent): Nodes {
  const place = parent.above.at(-1) ?? '';
  for (const [i, child] of elementsOf(element).entries()) {
    await reading.pause();
    if (parent.level === 0 && SETTINGS.has(child.name)) {
      addLoss(reading.report, {
        source: `${place}/${child.name}`,
        what: 'is a setting without a counterpart',
        kept: false,
      });
      continue;
    }
    const level = LEVELS.get(child.name) ?? LEAF;
    if (level <= parent.level || level === LEAF) yield* implicit(reading, { child, index: i }, parent);
    else if (level === parent.level + 1 || (level === 2 && parent.level === 0))
      yield* placed(reading, child, { ...parent, place: `${place}/${child.name}[${i}]` });
    else yield* implicit(reading, { child, index: i }, parent);
  }
}

/** A node for an element that stands on the level below its parent's. */
async function* placed(reading: Reading, child: Element, parent: Parent & { place: string }): Nodes {
  const block = await reading.files.resolve(child, parent.place);
  if (parent.above.includes(block.key))
    addLoss(reading.report, { source: block.key, what: 'holds itself; it is not read a second time', kept: false });
  else yield* blockNodes(reading, block, parent);
  reading.files.close(block);
}

async function* blockNodes(reading: Reading, block: Block, parent: Parent): Nodes {
  const { element } = block;
  const level = LEVELS.get(element.name) ?? LEAF;
  const key = reading.uniqueKey(block.key);
  const read = readNodeAttributes(element.attribs, element.attribs['url_name'] ?? element.name);
  if (parent.level === 0) narrow(read, parent.audience);
  const kind = level === 3 && read.assignment ? 'assignment' : (KINDS[level] ?? 'lesson');
  const id = importedId(reading.importId, key);
  if (block.problem !== undefined) {
    addLoss(reading.report, { source: key, what: `${block.problem}; read as far as it could be`, kept: false });
  }
  const node = nodeOf(reading, { block: { ...block, key }, read, kind, id, parentId: parent.id });
  const within = {
    level,
    id,
    audience: narrowed(parent.audience, read.audience),
    graded: parent.graded || read.fields['graded'] === true,
    above: [...parent.above, block.key],
  };
  if (level === 3) {
    yield { ...node, content: await lessonContent(reading, element, within, read.objectives) };
  } else {
    yield node;
    yield* children(reading, element, within);
  }
}

/** Fills in the levels that are missing between a parent and an element further down, or one that stands where it does not belong. */
async function* implicit(reading: Reading, at: { child: Element; index: number }, parent: Parent): Nodes {
  const { child } = at;
  const place = `${parent.above.at(-1) ?? ''}/${child.name}[${at.index}]`;
  const level = LEVELS.get(child.name) ?? LEAF;
  const target = level > parent.level && level < LEAF ? level : LEAF;
  const found = await reading.files.resolve(child, place);
  reading.files.close(found);
  // What is made for a part alone bears its title, and is for the same people.
  const own = isSelective(child) ? 'author' : ownAudience(found.element.attribs).audience;
  const audience = narrowed(parent.level === 0 ? parent.audience : 'learner', own);
  const title = found.element.attribs['display_name']?.trim() || 'Untitled';
  const fields = tidy({ title: cutText(title, 500), ...(audience === 'learner' ? {} : { audience }) });
  let current = parent;
  // A module may hang directly under the course: no unit is made up for it.
  for (let below = Math.max(parent.level + 1, 2); below < target; below++) {
    const kind = KINDS[below] ?? 'lesson';
    const key = reading.uniqueKey(`${found.key}#${kind}`);
    const id = importedId(reading.importId, key);
    reading.report.counts[COUNTED[kind === 'course' ? 'lesson' : kind]]++;
    addLoss(reading.report, { source: found.key, what: `stands in no ${kind}; one was made for it`, kept: true });
    const source = { format: 'olx', key: cutText(key, 500) };
    const node: PlannedNode = { id, parentId: current.id, kind, fields, source };
    current = { ...current, level: below, id };
    if (below < 3) yield node;
    else {
      const holder = new Element('vertical', {}, []);
      holder.children = [child];
      yield { ...node, content: await lessonContent(reading, holder, parent, []) };
    }
  }
  if (target < LEAF) yield* placed(reading, child, { ...current, place });
}

function nodeOf(
  reading: Reading,
  made: { block: Block; read: NodeAttributes; kind: PlannedNode['kind']; id: string; parentId: string | null },
): PlannedNode {
  const { report } = reading;
  const { key } = made.block;
  report.read++;
  report.mapped++;
  if (made.kind !== 'course') report.counts[COUNTED[made.kind]]++;
  for (const what of made.read.remarks) addLoss(report, { source: key, what, kept: true });
  if (made.read.left.length > 0) {
    const what = `attributes without a counterpart: ${made.read.left.join(', ')}`;
    addLoss(report, { source: key, what, kept: false });
  }
  return {
    id: made.id,
    parentId: made.parentId,
    kind: made.kind,
    fields: tidy(made.read.fields),
    source: { format: 'olx', key: cutText(key, 500) },
  };
}

function tidy(fields: Record<string, unknown>): Record<string, unknown> {
  return applyTextRules(fields).value as Record<string, unknown>;
}
