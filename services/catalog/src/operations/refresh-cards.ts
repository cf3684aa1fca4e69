import type { Deps } from './ports.js';
import { projectRegistry } from './project-course.js';

type RefreshDeps = Pick<Deps, 'database' | 'projection' | 'cache' | 'logger'>;

const mostAtOnce = 200;
/** A part of the connections; requests want the others. */
const sideBySide = 3;
const beforeAll = '00000000-0000-0000-0000-000000000000';

/**
 * Makes cards anew that an older way of making them has left, of at most 200 courses at each call, each in a transaction of its own;
 * resolves to how many. After the last course it begins again, so that one that fails stands in no other's way.
 */
export function cardRefresher(deps: RefreshDeps): () => Promise<number> {
  let after = beforeAll;
  const refresh = (courseId: string): Promise<void> => deps.database.tx((sql) => projectRegistry(deps, sql, courseId));
  return async () => {
    const outdated = await deps.projection.outdated(deps.database, after, mostAtOnce);
    let made = 0;
    for (let at = 0; at < outdated.length; at += sideBySide) {
      const results = await Promise.allSettled(outdated.slice(at, at + sideBySide).map(refresh));
      for (const [n, result] of results.entries()) {
        if (result.status === 'fulfilled') made += 1;
        else
          deps.logger.warn(
            { reason: String(result.reason), courseId: outdated[at + n] },
            'cards could not be made anew yet',
          );
      }
    }
    after = outdated.length < mostAtOnce ? beforeAll : outdated.at(-1)!;
    return made;
  };
}
