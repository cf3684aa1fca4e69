import {
  Committed,
  Published,
  VersionCut,
  VersioningState,
} from '@coursewright/proto/coursewright/events/v1/versioning';
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
import { projectState } from '../operations/project-course.js';
import { factsEvents, type Readers } from './facts-events.js';

/** Versioning's events: the head of the default branch and what is published. Events of other branches have no effect. */
export function versioningEvents(deps: Pick<Deps, 'projection' | 'registry' | 'cache'>): Subscription<TxSql> {
  return {
    source: 'versioning',
    ...factsEvents(deps, readers),
    isIdle: ({ type, data }) => type === 'committed' && !Committed.fromJSON(data).defaultBranch,
    async applyState(sql, courseId, json) {
      const { head, published, latestVersion } = VersioningState.fromJSON(json);
      await projectState(deps, sql, {
        courseId,
        change: ({ review }) => ({
          latestVersion,
          ...(head === undefined ? {} : { head: headOf(head) }),
          ...(published === undefined ? {} : { published: publishedOf(published) }),
          ...(review === undefined ? {} : { review }),
        }),
      });
    },
  };
}

const readers: Readers = {
  committed(data) {
    const head = headOf(Committed.fromJSON(data));
    return (facts) => withHead(facts, head);
  },
  published(data) {
    const published = publishedOf(Published.fromJSON(data));
    return (facts) => withPublished(facts, published);
  },
  unpublished: () => withoutPublished,
  'version-cut'(data) {
    const { number } = VersionCut.fromJSON(data);
    return (facts) => withVersion(facts, number);
  },
};

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
