import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '@coursewright/platform/testing/eventually';
import type { Answer, Api } from '../src/api.js';
import { makeCourse, textLesson, type SmallCourse } from '../src/course.js';
import { apiFor } from '../src/people.js';
import { apiOf, startTestSystem, type System } from '../src/system.js';

let system: System;
let api: Api;
let course: SmallCourse;
beforeAll(async () => {
  system = await startTestSystem();
  api = apiOf(system);
  course = await makeCourse(api, 'Names', 1);
}, 180_000);
afterAll(() => system?.stop(), 60_000);

const write = (method: string, path: string, json: unknown): Promise<Answer> =>
  api.send(method, path, { json, headers: method === 'POST' ? {} : { 'if-match': '*' } });

/** Every way to give something a title. */
const ways: readonly (readonly [string, (title: string) => Promise<Answer>])[] = [
  ['POST /courses', (title) => write('POST', '/courses', { title })],
  ['PATCH /courses/{id}', (title) => write('PATCH', `/courses/${course.id}`, { title })],
  [
    'PUT /courses/{id}',
    (title) =>
      write('PUT', `/courses/${course.id}`, {
        ...{ title, description: '', topic: '', cefrLevel: null, language: null, tags: [] },
      }),
  ],
  ['POST /courses/{id}/units', (title) => write('POST', `/courses/${course.id}/units`, { title })],
  ['POST /units/{id}/modules', (title) => write('POST', `/units/${course.unit}/modules`, { title })],
  ['POST /modules/{id}/lessons', (title) => write('POST', `/modules/${course.modules[0]!}/lessons`, { title })],
  ['PATCH /nodes/{id}', (title) => write('PATCH', `/nodes/${course.unit}`, { title })],
  ['PATCH /nodes/{id}, as a field', (title) => write('PATCH', `/nodes/${course.modules[1]!}`, { fields: { title } })],
  [
    'PUT /lessons/{id}/content, of an item',
    (title) =>
      write('PUT', `/lessons/${course.lessons[0]!}/content`, {
        ...textLesson('x'),
        materials: [{ type: 'text/markdown', content: 'x', title }],
      }),
  ],
];

describe('a title of 500 code points', () => {
  it.each(ways)('is taken, and one of 501 refused, whatever its letters: %s', async (_, give) => {
    for (const letter of ['x', '長', '🎓', 'e\u0301']) {
      const { status } = await give(letter.repeat(500));
      expect([letter, 500, status < 300 ? 'taken' : status]).toEqual([letter, 500, 'taken']);
      const { status: refused, body } = await give(letter.repeat(501));
      const errors = body['errors'] as { message: string }[];
      expect([letter, 501, [400, 422].includes(refused), errors.length]).toEqual([letter, 501, true, 1]);
    }
  });
});

describe('a search of 200 code points', () => {
  it('is taken, and one of 201 refused, as a filter by tag is at 100', async () => {
    const status = async (name: string, text: string): Promise<number> =>
      (await api.get(`/courses?${name}=${encodeURIComponent(text)}`)).status;
    for (const letter of ['x', '長', '🎓']) {
      expect(await status('query', letter.repeat(200))).toBe(200);
      expect(await status('query', letter.repeat(201))).toBe(400);
      expect(await status('tag', letter.repeat(100))).toBe(200);
      expect(await status('tag', letter.repeat(101))).toBe(400);
    }
  });
});

describe('the name of a person', () => {
  it('is cut between letters, never within one', async () => {
    const named = apiFor(system, { sub: 'long-name', roles: ['author'], name: `x${'🎓'.repeat(300)}` });
    const made = await named.send<{ id: string }>('POST', '/courses', { json: { title: 'By somebody' } });
    expect(made.status).toBe(201);
    const { body } = await named.get<{ items: { author: { name: string } }[] }>(`/courses/${made.body.id}/commits`);
    expect(body.items[0]!.author.name).toBe(`x${'🎓'.repeat(199)}`);
  });
});

describe('tags', () => {
  it('are each there once, in the first spelling, and any spelling finds the course and counts as one', async () => {
    const topic = `tags ${course.id}`;
    const made = await write('POST', '/courses', { title: 'One', topic, tags: ['Straße', 'STRASSE', 'É', 'e\u0301'] });
    expect(made.body).toMatchObject({ tags: ['Straße', 'É'] });
    const patched = await write('PATCH', `/courses/${String(made.body['id'])}`, {
      tags: ['b', 'straße', 'STRASSE', 'B'],
    });
    expect(patched.body).toMatchObject({ tags: ['b', 'straße'] });
    await write('POST', '/courses', { title: 'Two', topic, tags: ['STRASSE'] });
    await write('POST', '/courses', { title: 'Three', topic, tags: ['straße'] });
    const list = `/courses?topic=${encodeURIComponent(topic)}&facets=true`;
    type List = { items: { title: string }[]; facets: { tag: unknown } };
    await eventually(async () => {
      const { body } = await api.get<List>(`${list}&tag=${encodeURIComponent('Strasse')}`);
      expect(body.items.map(({ title }) => title).sort()).toEqual(['One', 'Three', 'Two']);
      expect(body.facets.tag).toEqual([
        { value: 'straße', count: 3 },
        { value: 'b', count: 1 },
      ]);
    });
    const unit = await write('PATCH', `/nodes/${course.unit}`, { fields: { tags: ['x', 'X', 'y'] } });
    expect(unit.body).toMatchObject({ fields: { tags: ['x', 'y'] } });
  });
});

describe('a search', () => {
  it('finds words that are written without blanks, and letters in any case and with any accents', async () => {
    const topic = `search ${course.id}`;
    await write('POST', '/courses', { title: '我家在上海东边', topic });
    await write('POST', '/courses', { title: 'Die Straße nach Łódź', topic, description: 'Où est le café ?' });
    const find = async (query: string): Promise<string[]> => {
      const { body } = await api.get<{ items: { title: string }[] }>(
        `/courses?topic=${encodeURIComponent(topic)}&query=${encodeURIComponent(query)}`,
      );
      return body.items.map(({ title }) => title);
    };
    await eventually(async () => {
      for (const query of ['上海', '海', '“东边”', '上海 -北京', '广州 or 上海'])
        expect([query, await find(query)]).toEqual([query, ['我家在上海东边']]);
      for (const query of ['strasse', 'STRAẞE', 'lodz', 'ou est', 'càfé', '"cafe\u0301"', '-上海'])
        expect([query, await find(query)]).toEqual([query, ['Die Straße nach Łódź']]);
      expect(await find('海上')).toEqual([]);
    });
  });
});
