import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { OutlineNode as SentNode } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { Answer, Api } from './api.js';
import type { Callers } from './callers.js';
import type { OutlineNode } from './course.js';
import type { StoredPart } from './oracle.js';

interface Item {
  readonly id: string;
  readonly type: string;
  readonly title?: string;
  readonly audience: string;
  readonly source: { readonly key: string };
}
interface Document {
  readonly materials: readonly Item[];
  readonly exercises: readonly Item[];
  readonly assessments: readonly Item[];
  readonly order: readonly string[];
}
interface NodeBody {
  readonly source: { readonly key: string };
  readonly audience: string;
}

const LISTS = [
  ['material', 'materials'],
  ['exercise', 'exercises'],
  ['assessment', 'assessments'],
] as const;

/** What learners get of a course. */
interface Learners {
  readonly nodes: ReadonlySet<string>;
  /** HTML of each item of a lesson, by its id. */
  pageOf(lesson: string): Promise<ReadonlyMap<string, string>>;
}

/**
 * Every part of a course as it is stored at a commit, in order, with what authors and learners are shown of it. The commit is the head
 * of the course, and published.
 */
export async function storedParts(api: Api, callers: Callers, courseId: string, commit: string): Promise<StoredPart[]> {
  const outline: Answer<{ root: OutlineNode }> = await api.get(`/courses/${courseId}/outline?depth=3`);
  const learners = await learnersOf(callers, courseId, commit);
  const parts: StoredPart[] = [];
  const add = async (node: OutlineNode, parent: string | null): Promise<void> => {
    const { source, audience } = (await api.get<NodeBody>(`/nodes/${node.id}`)).body;
    const isShown = learners.nodes.has(node.id);
    const plain = { type: node.kind, html: '', staffHtml: '' };
    parts.push({ ...plain, key: source.key, parent, kind: node.kind, title: node.title, audience, isShown });
    if (node.kind === 'lesson' || node.kind === 'assignment')
      parts.push(...(await itemsOf(api, node.id, source.key, isShown ? await learners.pageOf(node.id) : new Map())));
    for (const child of node.children) await add(child, source.key);
  };
  await add(outline.body.root, null);
  return parts;
}

async function learnersOf(callers: Callers, courseId: string, commit: string): Promise<Learners> {
  const learner = await callers.person('oracle-learner', [], [{ course: courseId, role: 'learner', commit }]);
  const versioning = callers.channel('versioning').client(VersioningServiceDefinition);
  const content = callers.channel('content').client(ContentServiceDefinition);
  const { root } = await versioning.getOutline({ courseId, ref: commit, depth: 3 }, learner);
  const below = (node: SentNode): string[] => [node.id, ...node.children.flatMap(below)];
  return {
    nodes: new Set(root === undefined ? [] : below(root)),
    async pageOf(lessonId) {
      const page = await content.getRendered({ courseId, lessonId, ref: commit }, learner);
      return new Map(page.items.map((item) => [item.id, item.html]));
    },
  };
}

/** The items of a lesson in the order of its page. */
async function itemsOf(
  api: Api,
  lesson: string,
  parent: string,
  shown: ReadonlyMap<string, string>,
): Promise<StoredPart[]> {
  const { body }: Answer<{ content: Document }> = await api.get(`/lessons/${lesson}/content`);
  const page: Answer<{ items: { id: string; html: string }[] }> = await api.get(`/lessons/${lesson}/rendered`);
  const html = new Map(page.body.items.map((item) => [item.id, item.html]));
  const items = new Map(
    LISTS.flatMap(([kind, list]) => body.content[list].map((item) => [item.id, { ...item, kind }] as const)),
  );
  if (page.body.items.map((item) => item.id).join() !== body.content.order.join())
    throw new Error(`the page of ${parent} has other items than its document, or another order`);
  return body.content.order.map((id) => {
    const { source, kind, type, title = '', audience } = items.get(id)!;
    const shownHtml = shown.get(id);
    const isShown = shownHtml !== undefined;
    const place = { key: source.key, parent, kind, type, title, audience, isShown };
    return { ...place, html: shownHtml ?? '', staffHtml: html.get(id) ?? '' };
  });
}
