import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError } from '@coursewright/platform/errors';
import { newId } from '@coursewright/platform/ids';
import { NodeKind } from '@coursewright/proto/coursewright/common/v1/common';
import { compareShape } from '../src/shapes/history.js';
import { seedCourse, startSystem, type Answer, type System } from './support/system.js';

let system: System;
let path: string;
beforeAll(async () => {
  system = await startSystem();
  const { courseId } = seedCourse(system);
  const head = system.versioning.at(courseId, '').commit.hash;
  path = `/api/courses/${courseId}/compare?from=${head}&limit=200`;
});
afterAll(() => system.stop());

const item = (more: object = {}) => ({
  ...{ nodeId: newId(), kind: NodeKind.LESSON, title: 'L', changes: ['edited'], fromBody: 'a', toBody: 'b' },
  ...more,
});

async function compare(items: object[], as = 'owner'): Promise<Answer> {
  system.versioning.compared = () => items;
  const answer = await system.ask('GET', path, { as });
  expect(answer.status).toBe(200);
  expect(compareShape.safeParse(answer.body).error).toBeUndefined();
  expect(answer.body.items).toHaveLength(items.length);
  return answer;
}

type Shown = { content?: unknown[]; contentTruncated?: boolean; fromKind?: string };

describe('a comparison', () => {
  it('shows what a node was whose kind has changed, and counts it', async () => {
    const changed = item({ kind: NodeKind.ASSIGNMENT, fromKind: NodeKind.LESSON, changes: ['kind_changed'] });
    const { body } = await compare([changed, item()]);
    expect(body.summary.kind_changed).toBe(1);
    expect(body.items[0]).toMatchObject({ kind: 'assignment', fromKind: 'lesson', changes: ['kind_changed'] });
    expect(body.items[1]).not.toHaveProperty('fromKind');
  });

  it('names no hash of a document to anybody, as a guess could be checked against it', async () => {
    for (const as of ['owner', 'publisher']) {
      const { text } = await compare([item({ fromBody: 'secret-from', toBody: 'secret-to' })], as);
      expect(text.replace(/"(from|to)":"secret-(from|to)"/g, '')).not.toContain('secret');
    }
  });

  it('says where content had no room for all of a difference', async () => {
    const [whole, cut] = [item(), item()];
    system.content.diff = ({ nodeId }) => ({ changes: [], truncated: nodeId === cut.nodeId });
    const { body } = await compare([whole, cut]);
    expect(body.items.map(({ contentTruncated }: Shown) => contentTruncated)).toEqual([undefined, true]);
  });

  it('of 200 nodes with 15 kB of fields and as much of text each answers, bounded, and says what it left out', async () => {
    const text = 'x'.repeat(15_000);
    system.content.diff = () => ({ changes: [{ pointer: '/materials/a/content', change: 'added', to: text + text }] });
    const { body, text: all } = await compare(
      Array.from({ length: 200 }, () => item({ fields: [{ pointer: '/description', to: text }] })),
    );
    expect(all.length).toBeLessThan(7 * 2 ** 20);
    const shown = body.items.filter(({ content }: Shown) => content !== undefined);
    const left = body.items.filter(({ contentTruncated }: Shown) => contentTruncated);
    expect(shown.length).toBeGreaterThan(90);
    expect(left.length).toBe(200 - shown.length);
  });

  it.each([
    ['answers more than a message holds', async () => ({ changes: [{ pointer: '/a', to: 'x'.repeat(9 * 2 ** 20) }] })],
    [
      'takes too long',
      async () => {
        throw new AppError('deadline_exceeded', 'DEADLINE_EXCEEDED');
      },
    ],
  ])('shows the structure also when content %s', async (_what, diff) => {
    system.content.diff = diff;
    const { body } = await compare([item(), item({ fromBody: 'a', toBody: 'a' })]);
    expect(body.items.map(({ content, contentTruncated }: Shown) => [content, contentTruncated])).toEqual([
      [undefined, true],
      [undefined, undefined],
    ]);
  });
});
