import {
  Committed,
  Published,
  VersionCut,
  VersioningState,
} from '@coursewright/proto/coursewright/events/v1/versioning';
import type { Event } from '@coursewright/platform/event';
import type { TxSql } from '@coursewright/platform/sql';
import type { Subscription } from '@coursewright/platform/subscription';
import { eventInvalid } from '../domain/errors.js';
import {
  withHead,
  withoutPublished,
  withPublished,
  withVersion,
  type CourseFacts,
  type Snapshot,
} from '../domain/facts.js';
import type { Deps } from '../operations/ports.js';
import { projectFacts, projectState } from '../operations/project-course.js';

type Change = (facts: CourseFacts) => CourseFacts;

/** Versioning's events: the head of the default branch and what is published. Events of other branches have no effect. */
export function versioningEvents(deps: Pick<Deps, 'projection' | 'registry' | 'cache'>): Subscription<TxSql> {
  const on =
    (change: (event: Event) => Change | undefined) =>
    async (sql: TxSql, event: Event): Promise<void> => {
      const made = change(event);
      if (made !== undefined) await projectFacts(deps, sql, event.courseId, made);
    };
  return {
    source: 'versioning',
    handlers: {
      committed: on((event) => {
        const committed = Committed.fromJSON(event.data);
        return committed.defaultBranch ? (facts) => withHead(facts, headOf(committed)) : undefined;
      }),
      published: on((event) => {
        const published = publishedOf(Published.fromJSON(event.data));
        return (facts) => withPublished(facts, published);
      }),
      unpublished: on(() => withoutPublished),
      'version-cut': on((event) => {
        const { number } = VersionCut.fromJSON(event.data);
        return (facts) => withVersion(facts, number);
      }),
    },
    isIdle: ({ type, data }) => type === 'committed' && !Committed.fromJSON(data).defaultBranch,
    async applyState(sql, courseId, json) {
      const { head, published, latestVersion } = VersioningState.fromJSON(json);
      await projectState(deps, sql, courseId, ({ review }) => ({
        latestVersion,
        ...(head === undefined ? {} : { head: headOf(head) }),
        ...(published === undefined ? {} : { published: publishedOf(published) }),
        ...(review === undefined ? {} : { review }),
      }));
    },
  };
}

function headOf(committed: Committed): NonNullable<CourseFacts['head']> {
  return { ...snapshotOf('committed', committed, committed.authorId), branch: committed.branch };
}

function publishedOf(published: Published): NonNullable<CourseFacts['published']> {
  return { ...snapshotOf('published', published, published.publishedBy), version: published.version };
}

function snapshotOf(type: string, event: Committed | Published, by: string): Snapshot {
  const { commit, tree, at, rootFields, counts } = event;
  for (const [name, value] of Object.entries({ commit, tree, at, rootFields })) {
    if (value === undefined || value === '') throw eventInvalid(type, name);
  }
  return {
    commit,
    tree,
    at: at!.toISOString(),
    by,
    fields: rootFields!,
    counts: counts ?? { units: 0, modules: 0, lessons: 0, assignments: 0 },
  };
}
