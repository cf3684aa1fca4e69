import { audienceIn, narrowed, sees } from '@coursewright/course-model/audience';
import type { Audience } from '@coursewright/course-model/lesson';
import type { Counts } from './kinds.js';
import type { NodeHead } from './objects.js';

/** For whom a tree is read. Staff see all of it; for learners the nodes that are not for them are not there. */
export interface Viewer {
  readonly audience: Audience;
  /** The positions of the children that the viewer does not see, ascending, by the id of their parent. */
  readonly hidden: ReadonlyMap<string, readonly number[]>;
}

/** What learners do not see of a version of a tree. */
export interface HiddenNodes {
  /** Positions of hidden children, ascending, by the id of their parent; below a hidden node they do not matter. */
  readonly byParent: ReadonlyMap<string, readonly number[]>;
  /** How many nodes are hidden, those below hidden ones too. */
  readonly counts: Counts;
}

/** Who sees the whole tree. */
export const EVERYTHING: Viewer = { audience: 'grader', hidden: new Map() };

/** Whom a node is for, by its own field and what holds for its parent. */
export function audienceOf(head: NodeHead, parent: Audience): Audience {
  return narrowed(parent, audienceIn(head.fields.audience));
}

/** Whether the viewer sees a node whose parent he sees. */
export function isSeen(viewer: Viewer, head: NodeHead): boolean {
  return viewer.audience === EVERYTHING.audience || sees(viewer.audience, audienceIn(head.fields.audience));
}

// Most lists hide nothing, and a page of a course has a thousand of them.
const NOTHING: readonly number[] = [];
const NOWHERE: ReadonlySet<number> = new Set();

/** A list of children as a viewer has it. Positions in the list as it is stored are called places here. */
export class SeenList {
  readonly #hidden: readonly number[];
  readonly #places: ReadonlySet<number>;
  /** How many children the viewer sees. */
  readonly size: number;
  /** How many there are. */
  readonly stored: number;

  constructor(viewer: Viewer, parent: string, stored: number) {
    this.#hidden = viewer.hidden.get(parent) ?? NOTHING;
    this.#places = this.#hidden === NOTHING ? NOWHERE : new Set(this.#hidden);
    this.stored = stored;
    this.size = stored - this.#hidden.length;
  }

  has(place: number): boolean {
    return !this.#places.has(place);
  }

  /** The viewer's position of what is stored at a place: hidden children before it do not count. */
  positionOf(place: number): number {
    if (this.#hidden.length === 0) return place;
    let [low, high] = [0, this.#hidden.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#hidden[middle] as number) < place) low = middle + 1;
      else high = middle;
    }
    return place - low;
  }

  /** The place to go on at, or null when the viewer sees nothing from there on. */
  restFrom(place: number): number | null {
    return this.positionOf(place) < this.size ? place : null;
  }
}
