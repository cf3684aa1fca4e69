import type { Api } from '../src/api.js';
import type { Log } from './history.js';
import type { ModelNode } from './model.js';

/** A node of a course with what the API says of it beside the model: the hash of its document, null where it has none. */
export interface ShownNode extends ModelNode {
  readonly body: string | null;
}

interface OutlineNode {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly body: string | null;
  readonly children: readonly OutlineNode[];
}

interface CommitJson {
  readonly hash: string;
  readonly parents: readonly string[];
  readonly message: string;
  readonly tree: string;
}

const placeOf = (branch: string): string => (branch === '' ? '' : `branch=${encodeURIComponent(branch)}`);

/** The history of a branch, and the tree of its newest commit. */
export async function readLog(api: Api, course: string, branch: string): Promise<Log & { readonly tree: string }> {
  const commits = await api.all<CommitJson>(`/courses/${course}/commits?${placeOf(branch)}`);
  return { course, branch, entries: [...commits].reverse(), tree: commits[0]?.tree ?? '' };
}

/** The tree of a branch; `savedIn` says which save's text the document of a hash has. */
export async function readTree(
  api: Api,
  { course, branch }: { readonly course: string; readonly branch: string },
  savedIn: (hash: string) => string,
): Promise<Map<string, ShownNode>> {
  const { status, body } = await api.get<{ root: OutlineNode }>(
    `/courses/${course}/outline?depth=10&${placeOf(branch)}`,
  );
  if (status !== 200) throw new Error(`outline of ${course} ${branch}: ${status}`);
  const tree = new Map<string, ShownNode>();
  const take = (node: OutlineNode, parent: string | null): void => {
    const { id, kind, title, body: hash } = node;
    const children = node.children.map((child) => child.id);
    tree.set(id, { id, kind, title, parent, children, body: hash, saved: hash === null ? '' : savedIn(hash) });
    node.children.forEach((child) => take(child, id));
  };
  take(body.root, null);
  return tree;
}

/** The ETag parts on which the first writes of a course are made: `self <node>` and `body <lesson>`. */
export async function readEtags(api: Api, tree: ReadonlyMap<string, ShownNode>): Promise<Map<string, string>> {
  const etags = new Map<string, string>();
  const part = async (path: string): Promise<string> => (await api.get(path)).etag.slice(1).split('.')[0]!;
  for (const { id, kind } of tree.values()) {
    if (kind === 'course') continue;
    etags.set(`self ${id}`, await part(`/nodes/${id}`));
    if (kind === 'lesson' || kind === 'assignment') etags.set(`body ${id}`, await part(`/lessons/${id}/content`));
  }
  return etags;
}
