import type { TxSql } from '@coursewright/platform/sql';
import type { Subscription } from '@coursewright/platform/subscription';
import type { CourseFacts } from '../domain/facts.js';
import { projectFacts, type ProjectDeps } from '../operations/project-course.js';

/** By event type: what an event changes in what is known of its course. Throws for data that say too little. */
export type Readers = Readonly<Record<string, (data: Record<string, unknown>) => (facts: CourseFacts) => CourseFacts>>;

/** The part of a subscription whose events change facts, each course's in their order and together. */
export function factsEvents(deps: ProjectDeps, readers: Readers): Pick<Subscription<TxSql>, 'types' | 'apply'> {
  const byType = new Map(Object.entries(readers));
  return {
    types: [...byType.keys()],
    async apply(sql, courses) {
      const changes = courses.map(({ courseId, events }) => {
        const steps = events.map(({ type, data }) => byType.get(type)!(data));
        return { courseId, change: (facts: CourseFacts) => steps.reduce((known, step) => step(known), facts) };
      });
      await projectFacts(deps, sql, changes);
    },
  };
}
