/** Kinds of node. */
export type ContentKind = 'course' | 'unit' | 'module' | 'lesson' | 'assignment';

/** A node on which something can be deployed, as it was last changed. */
export interface Content {
  readonly nodeId: string;
  readonly courseId: string;
  readonly kind: ContentKind;
  readonly title: string;
  /** The commit that last changed it. */
  readonly commit: string;
  readonly updatedAt: Date;
}

/** A node that a commit changed. */
export interface ChangedNode {
  readonly id: string;
  readonly kind: ContentKind;
  readonly what: readonly string[];
  readonly title: string;
  readonly submittable: boolean;
}

/** What a commit does to the contents of a course. */
export interface ContentChange {
  readonly present: readonly Content[];
  /** Nodes that are gone, or on which nothing can be deployed any more. */
  readonly absent: readonly string[];
}

/** What follows from the nodes a commit changed. */
export function contentChange(
  courseId: string,
  commit: { readonly hash: string; readonly at: Date },
  nodes: readonly ChangedNode[],
): ContentChange {
  const isPresent = (node: ChangedNode): boolean => node.submittable && !node.what.includes('removed');
  return {
    present: nodes.filter(isPresent).map((node) => ({
      nodeId: node.id,
      courseId,
      kind: node.kind,
      title: node.title,
      commit: commit.hash,
      updatedAt: commit.at,
    })),
    absent: nodes.filter((node) => !isPresent(node)).map((node) => node.id),
  };
}
