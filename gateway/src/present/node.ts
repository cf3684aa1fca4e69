import type { Node, Outline, OutlineNode } from '@coursewright/proto/coursewright/versioning/v1/versioning';
import type { NodeJson, OutlineNodeJson } from '../shapes/node.js';
import { kindOf, orNull, present, timeOf } from './common.js';

/** A node as staff or learners see it; what is left out for learners is null. */
export function nodeJson(node: Node, learner: boolean): NodeJson {
  const { title, fields } = split(node.fields);
  return {
    id: node.id,
    courseId: node.courseId,
    kind: kindOf(node.kind),
    parentId: orNull(node.parentId),
    position: node.position,
    title,
    fields,
    body: learner ? null : orNull(node.body),
    audience: node.audience === '' ? 'learner' : (node.audience as NodeJson['audience']),
    ...(node.source && !learner ? { source: { format: node.source.format, key: node.source.key } } : {}),
    commit: learner ? null : node.commit,
    updatedAt: timeOf(node.updatedAt),
    updatedBy: node.updatedBy,
  };
}

/** The parts of a node's ETag: itself, and everything at and below it. Learners get neither. */
export function nodeEtag(node: Node, learner: boolean): string[] {
  return learner ? [] : [node.selfEtag, node.treeEtag];
}

/** Signs the cursor of a node whose children go on. */
export type SignChildren = (parentId: string, inner: string) => string | null;

/** A course's outline. */
export function outlineJson(
  outline: Outline,
  courseId: string,
  learner: boolean,
  sign: SignChildren,
): { courseId: string; branch: string | null; commit: string | null; root: OutlineNodeJson } {
  const ref = present(outline.ref, 'ref');
  return {
    courseId,
    branch: !learner && ref.kind === 'branch' ? ref.name : null,
    commit: learner ? null : ref.commit,
    root: outlineNodeJson(present(outline.root, 'root'), learner, sign),
  };
}

function outlineNodeJson(node: OutlineNode, learner: boolean, sign: SignChildren): OutlineNodeJson {
  const { title, fields } = split(node.fields);
  const next = sign(node.id, node.next);
  return {
    id: node.id,
    kind: kindOf(node.kind),
    title,
    fields,
    body: learner ? null : orNull(node.body),
    children: node.children.map((child) => outlineNodeJson(child, learner, sign)),
    ...(next === null ? {} : { next }),
  };
}

/** The title stands beside the other fields. */
function split(all: Readonly<Record<string, unknown>> | undefined): { title: string; fields: Record<string, unknown> } {
  const { title, ...fields } = all ?? {};
  return { title: typeof title === 'string' ? title : '', fields };
}
