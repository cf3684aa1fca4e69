import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import type { ContentKind } from './domain/content.js';

const names: Partial<Record<NodeKind, ContentKind>> = {
  [NodeKind.COURSE]: 'course',
  [NodeKind.UNIT]: 'unit',
  [NodeKind.MODULE]: 'module',
  [NodeKind.LESSON]: 'lesson',
  [NodeKind.ASSIGNMENT]: 'assignment',
};
const numbers = Object.fromEntries(Object.entries(names).map(([kind, name]) => [name, kind])) as Record<
  ContentKind,
  NodeKind
>;

/** The domain's name of a kind on the wire; undefined for one that is none. */
export const kindFromProto = (kind: NodeKind): ContentKind | undefined => names[kind];

/** A kind as it goes over the wire. */
export const kindToProto = (kind: ContentKind): NodeKind => numbers[kind];
