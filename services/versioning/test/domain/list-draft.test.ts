import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ListDraft } from '../../src/domain/list-draft.js';
import { buildList } from '../../src/domain/list.js';
import { ObjectPool } from '../../src/domain/object-pool.js';
import type { Entry } from '../../src/domain/objects.js';
import { bodyHash, MemoryObjects, testId } from '../support/model.js';

const entry = (n: number): Entry => ({ id: testId(), hash: bodyHash(n) });

describe('a list to which very many children are added in one change', () => {
  it('is the list that all of its children make, wherever they were put', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(), { minLength: 1, maxLength: 400 }),
        fc.integer({ min: 0, max: 200 }),
        async (places, present) => {
          const pool = new ObjectPool(new MemoryObjects());
          const model = Array.from({ length: present }, (_, n) => entry(n));
          const list = await ListDraft.open(pool, buildList(pool, model));
          for (const [i, draw] of places.entries()) {
            const at = draw % (model.length + 1);
            const added = entry(present + i);
            await list.insertAfter(model[at - 1]?.id ?? null, added);
            model.splice(at, 0, added);
          }
          for (const draw of places.slice(0, 50)) {
            const [gone] = model.splice(draw % model.length, 1);
            if (gone) expect(await list.remove(gone.id)).toBe(true);
            if (model.length === 0) break;
            const at = draw % model.length;
            expect(await list.positionOf(model[at]!.id)).toBe(at);
            expect(await list.idAt(at)).toBe(model[at]!.id);
          }
          expect(await list.ids()).toEqual(model.map(({ id }) => id));
          expect(await list.seal()).toBe(buildList(pool, model));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('does not look through all that was put there before for each one more', async () => {
    const pool = new ObjectPool(new MemoryObjects());
    const list = await ListDraft.open(pool, null);
    let looks = 0;
    const counted = (id: string): Entry => ({
      get id() {
        looks++;
        return id;
      },
      hash: bodyHash(1),
    });
    let last: string | null = null;
    for (let n = 0; n < 4_000; n++) {
      const id = testId();
      await list.insertAfter(last, counted(id));
      last = id;
    }
    // About 64 for each; as one run it would be 8 million.
    expect(looks).toBeLessThan(4_000 * 150);
  });
});
