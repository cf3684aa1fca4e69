import { AppError } from '@coursewright/platform/errors';
import { applyTextRules } from '@coursewright/course-model/text-rules';
import type { Element } from 'domhandler';
import { cutText } from '../text.js';
import type { Archive } from '../archive.js';
import { COURSE_KEY, importedId, type PlannedNode } from '../import-plan.js';
import { addLoss, type ImportReport } from '../import-report.js';
import { LANGUAGE, readNodeAttributes, type NodeAttributes } from './attributes.js';
import { lessonContent, type Reading } from './lesson-content.js';
import { OlxFiles, type Block } from './olx-files.js';
import { elementsOf, textOf, parseXml } from './xml.js';

/** The levels of OLX, and the kinds that stand on them here. Any other element is a leaf. */
const LEVELS: Record<string, number> = {
  course: 0,
  chapter: 1,
  sequential: 2,
  problemset: 2,
  videosequence: 2,
  vertical: 3,
};
const LEAF = 4;
const KINDS = ['course', 'unit', 'module', 'lesson'] as const;
const COUNTED = { unit: 'units', module: 'modules', lesson: 'lessons', assignment: 'assignments' } as const;

/** Children of a course that are settings, not blocks. */
const SETTINGS = new Set(['wiki', 'textbook', 'pdf_textbook', 'html_textbook', 'grading_policy', 'license']);

/** More than this many parts are refused: pointers that share children can describe any number in a few lines. */
const MAX_PARTS = 1_000_000;

interface Parent {
  level: number;
  id: string | null;
  graded: boolean;
  staffOnly: boolean;
  above: readonly string[];
}

/**
 * Reads an OLX course (Open edX) and yields its nodes in document order: chapter = unit, sequential = module, vertical =
 * lesson (assignment where it says `coursewright_kind="assignment"`), leaf blocks = items of the lesson in their order. Levels
 * that OLX lets a course skip are filled in. The report is brought up to date as nodes are yielded; it is complete at the end.
 * The same archive and import id give the same nodes with the same ids.
 *
 * @throws AppError unprocessable OLX_NO_COURSE, OLX_BROKEN_XML, OLX_TOO_DEEP, OLX_TOO_LARGE
 */
export function* readOlxCourse(archive: Archive, importId: string, report: ImportReport): Generator<PlannedNode, void> {
  const files = new OlxFiles(archive, report);
  const seen = new Map<string, number>();
  const reading: Reading = {
    files,
    importId,
    report,
    uniqueKey(key) {
      if (seen.size >= MAX_PARTS) throw new AppError('unprocessable', 'OLX_TOO_LARGE', { limit: MAX_PARTS });
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
    },
  };
  const root = rootNode(reading);
  yield root.node;
  yield* children(reading, files.root.element, root.parent);
  files.reportUnused();
}

function rootNode(reading: Reading): { node: PlannedNode; parent: Parent } {
  const block = reading.files.root;
  const key = reading.uniqueKey(block.key);
  const read = readNodeAttributes(block.element.attribs, block.element.attribs['url_name'] ?? 'Untitled');
  const language = block.element.attribs['language'];
  if (language !== undefined && LANGUAGE.test(language)) read.fields['language'] = language;
  read.left = read.left.filter((name) => name !== 'language');
  const about = reading.files.text('about/short_description.html');
  if (about !== undefined && read.fields['description'] === undefined) {
    const { root } = parseXml(`<p>${about}</p>`);
    read.fields['description'] = cutText((root ? textOf(root) : about).trim(), 2000);
  }
  const id = importedId(reading.importId, COURSE_KEY);
  const node = nodeOf(reading, { block: { ...block, key }, read, kind: 'course', id, parentId: null });
  return { node, parent: { level: 0, id, graded: false, staffOnly: read.staffOnly, above: [block.key] } };
}

function* children(reading: Reading, element: Element, parent: Parent): Generator<PlannedNode, void> {
  const place = parent.above.at(-1) ?? '';
  for (const [i, child] of elementsOf(element).entries()) {
    if (parent.level === 0 && SETTINGS.has(child.name)) {
      addLoss(reading.report, {
        source: `${place}/${child.name}`,
        what: 'is a setting without a counterpart',
        kept: false,
      });
      continue;
    }
    const level = LEVELS[child.name] ?? LEAF;
    if (level <= parent.level || level === LEAF) yield* implicit(reading, { child, index: i }, parent);
    else if (level === parent.level + 1 || (level === 2 && parent.level === 0))
      yield* placed(reading, child, { ...parent, place: `${place}/${child.name}[${i}]` });
    else yield* implicit(reading, { child, index: i }, parent);
  }
}

/** A node for an element that stands on the level below its parent's. */
function* placed(reading: Reading, child: Element, parent: Parent & { place: string }): Generator<PlannedNode, void> {
  const block = reading.files.resolve(child, parent.place);
  if (parent.above.includes(block.key)) {
    addLoss(reading.report, { source: block.key, what: 'holds itself; it is not read a second time', kept: false });
    return;
  }
  const level = LEVELS[child.name] ?? LEAF;
  const key = reading.uniqueKey(block.key);
  const read = readNodeAttributes(block.element.attribs, block.element.attribs['url_name'] ?? child.name);
  const kind = level === 3 && read.assignment ? 'assignment' : (KINDS[level] ?? 'lesson');
  const id = importedId(reading.importId, key);
  if (block.problem !== undefined) {
    addLoss(reading.report, { source: key, what: `${block.problem}; read as far as it could be`, kept: false });
  }
  const node = nodeOf(reading, { block: { ...block, key }, read, kind, id, parentId: parent.id });
  const staffOnly = parent.staffOnly || read.staffOnly;
  if (read.staffOnly)
    addLoss(reading.report, {
      source: key,
      what: 'is not for every learner; its items are kept for authors',
      kept: true,
    });
  const within = {
    level,
    id,
    staffOnly,
    graded: parent.graded || read.fields['graded'] === true,
    above: [...parent.above, block.key],
  };
  if (level === 3) {
    const standing = {
      graded: within.graded,
      audience: staffOnly ? ('author' as const) : ('learner' as const),
      above: within.above,
    };
    yield { ...node, content: lessonContent(reading, block.element, standing, read.objectives) };
  } else {
    yield node;
    yield* children(reading, block.element, within);
  }
}

/** Fills in the levels that are missing between a parent and an element further down, or one that stands where it does not belong. */
function* implicit(
  reading: Reading,
  at: { child: Element; index: number },
  parent: Parent,
): Generator<PlannedNode, void> {
  const { child } = at;
  const place = `${parent.above.at(-1) ?? ''}/${child.name}[${at.index}]`;
  const key = child.attribs['url_name'] ? `${child.name}/${child.attribs['url_name']}` : place;
  const childLevel = LEVELS[child.name] ?? LEAF;
  const target = childLevel > parent.level && childLevel < LEAF ? childLevel : LEAF;
  let current = parent;
  // A module may hang directly under the course: no unit is made up for it.
  for (let level = Math.max(parent.level + 1, 2); level < target; level++) {
    const kind = KINDS[level] ?? 'lesson';
    const own = reading.uniqueKey(`${key}#${kind}`);
    const title = reading.files.resolve(child, place).element.attribs['display_name']?.trim() || 'Untitled';
    const id = importedId(reading.importId, own);
    reading.report.counts[COUNTED[kind === 'course' ? 'lesson' : kind]]++;
    addLoss(reading.report, { source: key, what: `stands in no ${kind}; one was made for it`, kept: true });
    const node: PlannedNode = {
      id,
      parentId: current.id,
      kind,
      fields: tidy({ title: cutText(title, 500) }),
      source: { format: 'olx', key: cutText(own, 500) },
    };
    current = { ...current, level, id };
    if (level < 3) yield node;
    else {
      const audience = parent.staffOnly ? ('author' as const) : ('learner' as const);
      const holder = { children: [child], name: 'vertical', attribs: {} };
      yield {
        ...node,
        content: lessonContent(
          reading,
          holder as unknown as Element,
          { graded: parent.graded, audience, above: parent.above },
          [],
        ),
      };
    }
  }
  if (target < LEAF) yield* placed(reading, child, { ...current, place });
}

function nodeOf(
  reading: Reading,
  made: { block: Block; read: NodeAttributes; kind: PlannedNode['kind']; id: string; parentId: string | null },
): PlannedNode {
  const { report } = reading;
  report.read++;
  report.mapped++;
  if (made.kind !== 'course') report.counts[COUNTED[made.kind]]++;
  if (made.read.left.length > 0) {
    const what = `attributes without a counterpart: ${made.read.left.join(', ')}`;
    addLoss(report, { source: made.block.key, what, kept: false });
  }
  return {
    id: made.id,
    parentId: made.parentId,
    kind: made.kind,
    fields: tidy(made.read.fields),
    source: { format: 'olx', key: cutText(made.block.key, 500) },
  };
}

function tidy(fields: Record<string, unknown>): Record<string, unknown> {
  return applyTextRules(fields).value as Record<string, unknown>;
}
