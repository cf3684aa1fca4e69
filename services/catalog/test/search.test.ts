import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { openDatabase, type PgDatabase } from '@coursewright/platform/sql';
import { createTestDatabase, type TestDatabase } from '@coursewright/platform/testing/servers';
import { fold } from '../src/domain/fold.js';
import { searchQuery } from '../src/domain/search-query.js';
import { searchVector } from '../src/domain/search-vector.js';

let testDatabase: TestDatabase;
let database: PgDatabase;
beforeAll(async () => {
  testDatabase = await createTestDatabase('search', new URL('../prisma/migrations', import.meta.url).pathname);
  database = openDatabase({ url: testDatabase.url });
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** Whether a search finds a course with these texts, in PostgreSQL. */
async function finds(query: string, title: string, labels: readonly string[] = [], description = ''): Promise<boolean> {
  const vector = searchVector({ title: fold(title), labels: labels.map(fold), description: fold(description) });
  const statement = { name: 'test_search', text: 'SELECT $1::tsvector @@ $2::tsquery AS found' };
  const [row] = await database.rows<{ found: boolean }>(statement, [vector, searchQuery(query)]);
  return row!.found;
}

describe('a search', () => {
  it.each([
    ['上海', '我家在上海东边'],
    ['上海东', '我家在上海东边'],
    ['我', '我家在上海东边'],
    ['海', '我家在上海东边'],
    ['边', '我家在上海东边'],
    ['家 东边', '我家在上海东边'],
    ['编程', 'Python编程入门'],
    ['python 编程', 'Python编程入门'],
    ['Python编程', 'python编程入门'],
    ['日', '日'],
    ['プログラミング', 'はじめてのプログラミング'],
    ['カタカナ', 'ｶﾀｶﾅの読み方'],
    ['ｶﾞｸ', 'ガク'],
    ['한국어', '한국어를 배우다'],
    ['ไทย', 'ภาษาไทยเบื้องต้น'],
    ['𠮷野', '𠮷野家の経営'],
    ['strasse', 'Die lange Straße'],
    ['STRAẞE', 'strasse'],
    ['espanol', 'Español básico'],
    ['españól', 'ESPANOL'],
    ['cafe\u0301', 'Café'],
    ['cafe', 'Cafe\u0301'],
    ['istanbul', 'İSTANBUL'],
    ['diş', 'DIŞ'],
    ['σισυφοσ', 'Ο ΣΊΣΥΦΟΣ'],
    ['Σίσυφος', 'ΣΙΣΥΦΟΣ'],
    ['lodz', 'Łódź'],
    ['aero', 'Ærø'],
    ['efficient', 'eﬃcient'],
    ['full width', 'Ｆｕｌｌ Ｗｉｄｔｈ'],
    ['елка', 'Ёлка'],
    ['שלום', 'שָׁלוֹם'],
    ['سلام', 'سَلَام'],
    ['wortbruch', 'Wort\u00adbruch'],
    ['हिन्दी', 'हिन्दी सीखें'],
  ])('for %s finds %s', async (query, title) => {
    expect(await finds(query, title)).toBe(true);
  });

  it.each([
    ['海上', '我家在上海东边'],
    ['京都府', '東京都の地理'],
    ['上东', '我家在上海东边'],
    ['が', 'か'],
    ['का', 'की'],
    ['上海北京', '上海，北京'],
    ['straß', 'Straße'],
    ['or', 'either'],
    ['!!!', 'anything'],
    ["';--", 'anything'],
    ['', 'anything'],
  ])('for %s does not find %s', async (query, title) => {
    expect(await finds(query, title)).toBe(false);
  });

  it('takes quotes for a phrase, or for either, and a minus for what must not be there, in every script', async () => {
    const title = '上海 city guide 上海东边的历史';
    const found: [string, boolean][] = [
      ['"city guide"', true],
      ['"guide city"', false],
      ['"上海 city"', true],
      ['"guide 上海东边"', true],
      ['"city 上海"', false],
      ['“东边的”', true],
      ['「city guide」', true],
      ['上海 -city', false],
      ['上海 -北京', true],
      ['－北京 上海', true],
      ['-"东边的"', false],
      ['-"东边 city"', true],
      ['北京 or 上海', true],
      ['北京 OR 广州', false],
      ['广州 or city guide', true],
      ['广州 or city 北京', false],
      ['or', false],
      ['city or', false],
      ['or city', false],
      ['city-guide', true],
      ['guide-city', false],
      ['"city gui', false],
      ['"city guide', true],
    ];
    for (const [query, expected] of found) expect([query, await finds(query, title)]).toEqual([query, expected]);
  });

  it('takes no phrase from one text into another', async () => {
    expect(await finds('"one two"', 'one', ['two'])).toBe(false);
    expect(await finds('"two three"', 'one', ['two', 'three'])).toBe(false);
    expect(await finds('one two three four', 'one', ['two', 'three'], 'four')).toBe(true);
    expect(await finds('上海', '上', ['海'])).toBe(false);
  });

  it('finds any part of a stretch of the longest description as far as positions go, and one character or two everywhere', async () => {
    const text = Array.from({ length: 20_000 }, (_, n) => String.fromCodePoint(0x4e00 + ((n * 7_919) % 20_000))).join(
      '',
    );
    for (const at of [0, 9_000, 16_000]) expect(await finds(text.slice(at, at + 7), '', [], text)).toBe(true);
    expect(await finds(text.slice(19_990, 19_992), '', [], text)).toBe(true);
    expect(await finds(text.slice(-1), '', [], text)).toBe(true);
  });

  it('can be anything, over anything, and PostgreSQL takes it', async () => {
    const some = fc.string({
      unit: fc.constantFrom(...'ab上海éß \'"-|&!<>():*\\or\u0301\u3099🎓ไที𠮷한가'),
      maxLength: 40,
    });
    const any = fc.oneof(
      some,
      fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => text.isWellFormed()),
    );
    await fc.assert(
      fc.asyncProperty(any, any, async (query, title) => {
        await finds(query, title, [query], title);
      }),
      { numRuns: 300 },
    );
    expect(await finds('x'.repeat(500), 'x'.repeat(20_000))).toBe(true);
    expect(await finds(`上${'\u3099'.repeat(400)}`, `上${'\u3099'.repeat(400)}`)).toBe(true);
  });

  it('for what stands in a title without blanks finds it, whatever the part', async () => {
    const letters = fc.string({ unit: fc.constantFrom(...'上海东边学习かがカ한ไทย'), minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(letters, fc.nat(11), fc.integer({ min: 1, max: 12 }), async (title, from, length) => {
        const asked = title.slice(from % title.length).slice(0, length);
        fc.pre(/^\P{M}/u.test(asked));
        expect([asked, title, await finds(asked, title)]).toEqual([asked, title, true]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('folding', () => {
  it('is done once, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
        fc.pre(text.isWellFormed());
        expect(fold(fold(text))).toBe(fold(text));
        expect(fold(text.normalize('NFD'))).toBe(fold(text.normalize('NFC')));
      }),
      { numRuns: 1_000 },
    );
  });
});
