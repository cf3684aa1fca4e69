import type { Log, Violation, Write } from './history.js';

/** A node as the model and the API know it: `saved` is the id of the save whose text its document has, empty before the first. */
export interface ModelNode {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly parent: string | null;
  readonly children: readonly string[];
  readonly saved: string;
}

/** The nodes of a course by id. */
export type Tree = ReadonlyMap<string, ModelNode>;

/** A node that was added by a write whose answer nobody got is known by its title, which is the write's id. */
export type Finder = (title: string) => string | undefined;

/**
 * The tree that follows from an initial one by the writes of a log, in its order: what an added, moved or renamed node, or a saved
 * document, comes to when each of them is applied to what was there then. New and moved nodes come last.
 */
export function replay(
  initial: Tree,
  log: Log,
  writes: ReadonlyMap<string, Write>,
  find: Finder = () => undefined,
): Tree {
  const tree = new Map(initial);
  const change = (id: string, fields: (node: ModelNode) => Partial<ModelNode>): void => {
    const node = tree.get(id);
    if (node !== undefined) tree.set(id, { ...node, ...fields(node) });
  };
  const attach = (id: string, parent: string): void => {
    change(parent, ({ children }) => ({ children: [...children, id] }));
    change(id, () => ({ parent }));
  };
  for (const { message } of log.entries) {
    const write = writes.get(message);
    if (write === undefined) continue;
    switch (write.kind) {
      case 'save':
        change(write.node, () => ({ saved: write.id }));
        break;
      case 'rename':
        change(write.node, () => ({ title: write.id }));
        break;
      case 'add': {
        const id = write.made ?? find(write.id) ?? `added by ${write.id}`;
        const kind = write.isAssignment ? 'assignment' : 'lesson';
        tree.set(id, { id, kind, title: write.id, parent: null, children: [], saved: '' });
        attach(id, write.node);
        break;
      }
      case 'move': {
        const from = tree.get(write.node)?.parent;
        if (from != null) change(from, ({ children }) => ({ children: children.filter((id) => id !== write.node) }));
        attach(write.node, write.parent!);
        break;
      }
      case 'branch':
        break;
    }
  }
  return tree;
}

/** How a tree differs from the one expected. */
export function compareTrees(where: string, expected: Tree, actual: Tree): Violation[] {
  const found: Violation[] = [];
  for (const [id, node] of expected) {
    const there = actual.get(id);
    if (there === undefined) {
      found.push({ kind: 'lost', what: `${where}: ${node.kind} ${id} (${node.title}) is not in the tree` });
      continue;
    }
    for (const name of ['kind', 'title', 'parent', 'saved'] as const)
      if (there[name] !== node[name])
        found.push({ kind: 'wrong', what: `${where}: ${name} of ${id} is ${there[name]}, should be ${node[name]}` });
    if (there.children.join() !== node.children.join())
      found.push({
        kind: 'wrong',
        what: `${where}: children of ${id} are ${there.children.join(' ')}, should be ${node.children.join(' ')}`,
      });
  }
  for (const id of actual.keys())
    if (!expected.has(id)) found.push({ kind: 'doubled', what: `${where}: ${id} is in the tree, and nobody added it` });
  return found;
}
