import { createHash } from 'node:crypto';
import { anyone } from '@coursewright/platform/testing/anyone';
import { rolesOn } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import type { CallContext, Command } from '@coursewright/platform/rpc-call';
import { serve, type Served } from '@coursewright/platform/rpc-server';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { RecallOutcome, RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import type { PartialOf } from '@coursewright/platform/rpc-definition';
import {
  Branch,
  CommitResponse,
  Part,
  VersioningServiceDefinition,
  type CommitRequest,
  type CompareItem,
  type Node,
} from '@coursewright/proto/coursewright/versioning/v1/versioning';

export const hashOf = (value: unknown): string =>
  createHash('sha256')
    .update(typeof value === 'string' ? value : JSON.stringify(value))
    .digest('base64url');

interface FakeNode {
  id: string;
  kind: NodeKind;
  parentId: string;
  fields: Record<string, unknown>;
  body: string;
  children: string[];
}
type Tree = Record<string, FakeNode>;
interface FakeCommit {
  hash: string;
  parents: string[];
  tree: Tree;
  at: Date;
  author: string;
  message: string;
}
interface FakeRepository {
  commits: Map<string, FakeCommit>;
  branches: Map<string, string>;
  published: string;
}

/** First results by actor and key, as every owner keeps them. */
export class FakeRequests {
  readonly kept = new Map<string, { fingerprint: string; result: Record<string, unknown> }>();
  readonly open = new Set<string>();
  /** Runs before a key is looked for. */
  beforeRecall: () => Promise<void> = async () => undefined;
  readonly seen: Command[] = [];

  keep(call: CallContext, result: Record<string, unknown>): void {
    if (!call.command) throw new Error('a write without a command');
    this.seen.push(call.command);
    this.kept.set(`${call.actor.sub}\n${call.command.id}`, { fingerprint: call.command.fingerprint, result });
  }

  served(): Served {
    return serve(RequestServiceDefinition, anyone(RequestServiceDefinition), {
      recall: async ({ actor, key, fingerprint }) => {
        await this.beforeRecall();
        if (this.open.has(key)) return { outcome: RecallOutcome.IN_FLIGHT };
        const found = this.kept.get(`${actor}\n${key}`);
        if (!found) return { outcome: RecallOutcome.NONE };
        if (found.fingerprint !== fingerprint) return { outcome: RecallOutcome.MISMATCH };
        return { outcome: RecallOutcome.DONE, result: found.result };
      },
    });
  }
}

/** A course repository in memory: enough to answer as the contract says, for tests of what the gateway makes of it. */
export class FakeVersioning {
  readonly repositories = new Map<string, FakeRepository>();
  readonly requests = new FakeRequests();
  readonly calls: { method: string; request: { courseId: string }; call: CallContext }[] = [];
  readonly publishedAsked: string[] = [];
  commits = 0;
  /** Takes part in every comparison; replaced by tests of large ones. */
  compared: (items: PartialOf<typeof CompareItem>[]) => PartialOf<typeof CompareItem>[] = (items) => items;

  create(courseId: string, fields: Record<string, unknown>): string {
    const root: FakeNode = { id: courseId, kind: NodeKind.COURSE, parentId: '', fields, body: '', children: [] };
    const repository: FakeRepository = { commits: new Map(), branches: new Map(), published: '' };
    this.repositories.set(courseId, repository);
    return this.#add(repository, { [courseId]: root }, { branch: 'main', author: 'maker', message: 'Begin' });
  }

  repository(courseId: string): FakeRepository {
    const found = this.repositories.get(courseId);
    if (!found) throw new AppError('not_found', 'COURSE_NOT_FOUND');
    return found;
  }

  #add(repository: FakeRepository, tree: Tree, about: { branch: string; author: string; message: string }): string {
    const parent = repository.branches.get(about.branch);
    const hash = hashOf([tree, parent, ++this.commits]);
    const { author, message } = about;
    const parents = parent ? [parent] : [];
    repository.commits.set(hash, { hash, parents, tree, at: new Date(), author, message });
    repository.branches.set(about.branch, hash);
    return hash;
  }

  at(courseId: string, ref: string): { commit: FakeCommit; kind: string; name: string } {
    const repository = this.repository(courseId);
    const branch = repository.branches.get(ref || 'main');
    const commit = repository.commits.get(branch ?? ref);
    if (!commit) throw new AppError('not_found', 'REF_NOT_FOUND');
    return { commit, kind: branch ? 'branch' : 'commit', name: ref || 'main' };
  }

  node(courseId: string, tree: Tree, id: string): Partial<Node> {
    const node = tree[id];
    if (!node) throw new AppError('not_found', 'NODE_NOT_FOUND');
    const { kind, fields, parentId, body, children } = node;
    const below = (one: FakeNode): unknown => [one, one.children.map((child) => below(tree[child]!))];
    return {
      ...{ id, courseId, kind, parentId, fields, body, updatedBy: 'maker', updatedAt: new Date(0), commit: 'c' },
      position: parentId === '' ? 0 : tree[parentId]!.children.indexOf(id),
      selfEtag: hashOf([kind, fields, parentId]),
      treeEtag: hashOf(below(node)),
      childrenEtag: hashOf(children),
      childCount: children.length,
      audience: (fields['audience'] as string | undefined) ?? 'learner',
    };
  }

  commit(request: CommitRequest, call: CallContext): CommitResponse {
    const repository = this.repository(request.courseId);
    const branch = request.branch || 'main';
    const { commit: head } = this.at(request.courseId, branch);
    if (request.expectedHead !== '' && request.expectedHead !== head.hash)
      throw new AppError('stale', 'STALE', { head: head.hash });
    for (const { nodeId, part, etag } of request.expect) {
      const node = this.node(request.courseId, head.tree, nodeId);
      const present = part === Part.SELF ? node.selfEtag : part === Part.SUBTREE ? node.treeEtag : node.body || 'none';
      if (etag !== '*' && etag !== present) throw new AppError('stale', 'STALE', { head: head.hash, node: nodeId });
    }
    const tree = structuredClone(head.tree);
    const nodeIds = request.ops.map((op) => apply(tree, op.op));
    const unchanged = JSON.stringify(tree) === JSON.stringify(head.tree);
    const message = request.message;
    const commit = unchanged ? head.hash : this.#add(repository, tree, { branch, author: call.actor.sub, message });
    const response = CommitResponse.fromPartial({
      ...{ courseId: request.courseId, branch, branchId: newId(), commit, unchanged, nodeIds },
      tree: hashOf(tree),
      at: new Date(),
    });
    this.requests.keep(call, CommitResponse.toJSON(response) as Record<string, unknown>);
    return response;
  }

  #enter(method: string, request: { courseId: string }, call: CallContext): void {
    this.calls.push({ method, request, call });
    if (rolesOn(call.actor, request.courseId).length === 0) throw new AppError('not_found', 'COURSE_NOT_FOUND');
  }

  served(): Served {
    const ref = (found: ReturnType<FakeVersioning['at']>) => ({
      ...{ commit: found.commit.hash, kind: found.kind, name: found.name, tree: hashOf(found.commit.tree) },
    });
    const unused = async (): Promise<never> => {
      throw new AppError('unimplemented', 'UNIMPLEMENTED');
    };
    return serve(VersioningServiceDefinition, anyone(VersioningServiceDefinition), {
      createCourse: unused,
      graft: unused,
      dropImport: unused,
      resolveRef: unused,
      listNodes: unused,
      closeCourse: unused,
      checkIntegrity: async function* () {
        yield {};
      },
      getPublished: async ({ courseId }) => {
        this.publishedAsked.push(courseId);
        return { commit: this.repositories.get(courseId)?.published ?? '', version: 1 };
      },
      locate: async ({ ids }) => ({
        homes: ids.flatMap((nodeId) =>
          [...this.repositories].flatMap(([courseId, { commits }]) =>
            [...commits.values()].some(({ tree }) => tree[nodeId]) ? [{ nodeId, courseId }] : [],
          ),
        ),
      }),
      commit: async (request, call) => {
        this.#enter('commit', request, call);
        return this.commit(request, call);
      },
      getCourse: async (request, call) => {
        this.#enter('getCourse', request, call);
        const { commit } = this.at(request.courseId, request.ref);
        const { published } = this.repository(request.courseId);
        const root = this.node(request.courseId, commit.tree, request.courseId);
        return {
          ...{ courseId: request.courseId, defaultBranch: 'main', head: commit.hash, tree: root.treeEtag!, root },
          publishedCommit: published,
          publishedTree:
            published &&
            this.node(request.courseId, this.at(request.courseId, published).commit.tree, request.courseId).treeEtag!,
          ...(published ? { publishedVersion: 1, latestVersion: 1 } : {}),
          headAt: new Date(0),
          headBy: commit.author,
        };
      },
      getNode: async (request, call) => {
        this.#enter('getNode', request, call);
        const found = this.at(request.courseId, request.ref);
        return { node: this.node(request.courseId, found.commit.tree, request.nodeId), ref: ref(found) };
      },
      getOutline: async (request, call) => {
        this.#enter('getOutline', request, call);
        const found = this.at(request.courseId, request.ref);
        const { tree } = found.commit;
        const draw = (id: string): object => {
          const { kind, fields, body, children } = tree[id]!;
          return { id, kind, fields, body, children: children.map(draw), next: id === request.courseId ? '' : '7' };
        };
        return { ref: ref(found), root: draw(request.rootId || request.courseId) };
      },
      listChildren: async (request, call) => {
        this.#enter('listChildren', request, call);
        const found = this.at(request.courseId, request.ref);
        const { tree } = found.commit;
        this.node(request.courseId, tree, request.parentId);
        const wanted = tree[request.parentId]!.children.filter(
          (id) => request.kind === NodeKind.UNSPECIFIED || tree[id]!.kind === request.kind,
        );
        const from = Number(request.cursor || 0);
        const nodes = wanted.slice(from, from + request.limit).map((id) => this.node(request.courseId, tree, id));
        const end = from + nodes.length;
        return { nodes, next: end < wanted.length ? String(end) : '', ref: ref(found) };
      },
      listCommits: async (request, call) => {
        this.#enter('listCommits', request, call);
        const all = [...this.repository(request.courseId).commits.values()].reverse();
        const commits = all.slice(0, request.limit).map(({ hash, parents, message, at }) => ({
          ...{ hash, parents, message, at, kind: 'edit', courseId: request.courseId, authorId: 'maker', tree: 't' },
        }));
        return { commits, next: '' };
      },
      compare: async (request, call) => {
        this.#enter('compare', request, call);
        const from = this.at(request.courseId, request.from);
        const to = this.at(request.courseId, request.to);
        const items = Object.values(to.commit.tree).flatMap(({ id, kind, body, fields }) => {
          const before = from.commit.tree[id];
          if (before && JSON.stringify(before) === JSON.stringify(to.commit.tree[id])) return [];
          return [
            {
              ...{ nodeId: id, kind, title: String(fields['title']), changes: [before ? 'edited' : 'added'] },
              ...{ fields: [{ pointer: '/x', to: 1 }], fromBody: before?.body ?? '', toBody: body },
            },
          ];
        });
        const summary = { added: items.length, kindChanged: 1 };
        return { from: ref(from), to: ref(to), summary, items: this.compared(items), next: '' };
      },
      createBranch: async (request, call) => {
        this.#enter('createBranch', request, call);
        const repository = this.repository(request.courseId);
        if (repository.branches.has(request.name)) throw new AppError('already_exists', 'NAME_TAKEN');
        repository.branches.set(request.name, this.at(request.courseId, request.from).commit.hash);
        const made = this.#branch(request.courseId, request.name);
        this.requests.keep(call, Branch.toJSON(Branch.fromPartial(made)) as Record<string, unknown>);
        return made;
      },
      getBranch: async (request, call) => {
        this.#enter('getBranch', request, call);
        return this.#branch(request.courseId, request.name);
      },
      listBranches: async (request, call) => {
        this.#enter('listBranches', request, call);
        const names = [...this.repository(request.courseId).branches.keys()];
        return { branches: names.map((name) => this.#branch(request.courseId, name)), next: '' };
      },
    });
  }

  #branch(courseId: string, name: string) {
    const head = this.repository(courseId).branches.get(name);
    if (!head) throw new AppError('not_found', 'BRANCH_NOT_FOUND');
    return {
      id: courseId,
      name,
      courseId,
      head,
      base: head,
      revision: 1,
      createdBy: 'maker',
      createdAt: new Date(0),
      metadata: {},
    };
  }
}

function apply(tree: Tree, op: CommitRequest['ops'][number]['op']): string {
  const gone = (id: string): AppError => new AppError('conflict', 'NODE_GONE', { id });
  switch (op?.$case) {
    case 'add': {
      const { parentId, position, kind, fields = {}, body } = op.value;
      const id = op.value.id || newId();
      if (!tree[parentId]) throw new AppError('conflict', 'PARENT_GONE');
      if ('refused' in fields)
        throw new AppError(
          'unprocessable',
          'OPS_REFUSED',
          {},
          { fields: [{ pointer: '/ops/0/fields/refused', code: 'x', message: 'no' }] },
        );
      tree[id] = { id, kind, parentId, fields, body, children: [] };
      tree[parentId].children.splice(position ?? Infinity, 0, id);
      return id;
    }
    case 'setFields': {
      const node = tree[op.value.nodeId];
      if (!node) throw gone(op.value.nodeId);
      for (const [name, value] of Object.entries(op.value.fields ?? {})) {
        if (value === null) delete node.fields[name];
        else node.fields[name] = value;
      }
      return node.id;
    }
    case 'setBody':
      tree[op.value.nodeId]!.body = op.value.body;
      return op.value.nodeId;
    case 'move': {
      const node = tree[op.value.nodeId]!;
      const old = tree[node.parentId]!;
      old.children = old.children.filter((id) => id !== node.id);
      node.parentId = op.value.parentId;
      tree[node.parentId]!.children.splice(op.value.position ?? Infinity, 0, node.id);
      return node.id;
    }
    case 'remove': {
      const node = tree[op.value.nodeId];
      if (!node) throw gone(op.value.nodeId);
      const parent = tree[node.parentId]!;
      parent.children = parent.children.filter((id) => id !== node.id);
      delete tree[node.id];
      return node.id;
    }
    case 'reorder':
    case undefined:
      throw new AppError('unimplemented', 'UNIMPLEMENTED');
  }
}
