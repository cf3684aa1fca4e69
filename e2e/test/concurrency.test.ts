import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Answer, Api } from '../src/api.js';
import { makeCourse, saveLesson, textLesson, type OutlineNode } from '../src/course.js';
import { apiOf, startTestSystem, type System } from '../src/system.js';

interface LessonBody {
  readonly content: { readonly materials: { readonly content: string }[] };
}

let system: System;
let api: Api;
const writers = Array.from({ length: 100 }, (_, n) => n);

beforeAll(async () => {
  system = await startTestSystem();
  api = apiOf(system);
}, 180_000);
afterAll(() => system?.stop(), 60_000);

const tally = (answers: readonly Answer[]): Record<number, number> => {
  const counts: Record<number, number> = {};
  for (const answer of answers) counts[answer.status] = (counts[answer.status] ?? 0) + 1;
  return counts;
};

describe('no update is lost (P3)', () => {
  it('when 100 writers hold one etag of a lesson: one wins each revision, the others are told', async () => {
    const course = await makeCourse(api, 'One lesson', 1);
    const lesson = course.lessons[0]!;
    for (let revision = 0; revision < 3; revision += 1) {
      const { etag } = await api.get(`/lessons/${lesson}/content`);
      const answers = await Promise.all(
        writers.map((n) =>
          api.send<LessonBody>('PUT', `/lessons/${lesson}/content`, {
            json: textLesson(`${revision}/${n}`),
            headers: { 'if-match': etag },
          }),
        ),
      );
      expect(tally(answers as unknown as Answer[])).toEqual({ 200: 1, 412: 99 });
      const winner = answers.find((answer) => answer.status === 200)!;
      const now = await api.get<LessonBody>(`/lessons/${lesson}/content`);
      expect(now.body.content.materials[0]!.content).toBe(winner.body.content.materials[0]!.content);
    }
    const commits = await api.all(`/courses/${course.id}/commits`);
    expect(commits).toHaveLength(1 + 5 + 3);
  }, 120_000);

  it('when 100 writers hold one expected head: one wins, the others are told', async () => {
    const course = await makeCourse(api, 'One head', 1);
    const { body } = await api.get<{ head: string }>(`/courses/${course.id}`);
    const answers = await Promise.all(
      writers.map((n) =>
        api.send('POST', `/courses/${course.id}/units?expectedHead=${body.head}`, { json: { title: `Unit ${n}` } }),
      ),
    );
    expect(tally(answers)).toEqual({ 201: 1, 412: 99 });
    expect(await api.all(`/courses/${course.id}/units`)).toHaveLength(2);
  }, 120_000);

  it('when 100 writers save 100 lessons: all succeed and every edit is in the final tree', async () => {
    const course = await makeCourse(api, 'Many lessons', 50);
    const answers = await Promise.all(course.lessons.map((lesson, n) => saveLesson(api, lesson, `text ${n}`)));
    expect(tally(answers)).toEqual({ 200: 100 });
    for (const [n, lesson] of course.lessons.entries()) {
      const { body } = await api.get<LessonBody>(`/lessons/${lesson}/content`);
      expect(body.content.materials[0]!.content).toBe(`text ${n}`);
    }
  }, 120_000);

  it('and a save is disturbed neither by other lessons, nor by a reorder, nor by a move of its module', async () => {
    const course = await makeCourse(api, 'Calm', 3);
    const [lesson, other, third] = course.lessons as [string, string, string];
    const { etag } = await api.get(`/lessons/${lesson}/content`);
    expect((await saveLesson(api, other, 'elsewhere')).status).toBe(200);
    const patch = async (node: string, json: object): Promise<Answer> => {
      const shown = await api.get(`/nodes/${node}`);
      return api.send('PATCH', `/nodes/${node}`, { json, headers: { 'if-match': shown.etag } });
    };
    expect((await patch(third, { position: 0 })).status).toBe(200);
    expect((await patch(course.modules[0]!, { parentId: course.id })).status).toBe(200);
    const saved = await api.send<LessonBody>('PUT', `/lessons/${lesson}/content`, {
      json: textLesson('mine'),
      headers: { 'if-match': etag },
    });
    expect(saved.status).toBe(200);
    const { body } = await api.get<{ root: OutlineNode }>(`/courses/${course.id}/outline?depth=3`);
    const moved = body.root.children.find((node) => node.id === course.modules[0])!;
    expect(moved.children.map((node) => node.id)).toEqual([third, lesson, other]);
  }, 60_000);
});
