import { createHash } from 'node:crypto';
import { idFromHash } from '@coursewright/platform/ids';

/** Who saves what: new ids follow from all of it, so that two authors with the same key never make the same id. */
export interface SaveCommand {
  readonly actor: string;
  readonly courseId: string;
  readonly lessonId: string;
  readonly commandId: string;
}

/** What the ids of the items of one save follow from. */
export function seedOf({ actor, courseId, lessonId, commandId }: SaveCommand): string {
  return JSON.stringify([actor, courseId, lessonId, commandId]);
}

/** New ids, one after the other: the same seed gives the same ones, so a save that is sent again makes the same body. */
export function itemIds(seed: string): () => string {
  let n = 0;
  return () => idFromHash(createHash('sha256').update(`cm:item-id\n${seed}\n${n++}`).digest());
}
