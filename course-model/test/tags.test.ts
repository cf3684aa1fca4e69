import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { caseFold } from '@coursewright/course-model/case-fold';
import { tagKey, uniqueTags } from '@coursewright/course-model/tags';

describe('a text without case', () => {
  it.each([
    ['German', ['Straße', 'STRASSE', 'strasse', 'STRAẞE']],
    ['Greek, whose sigma has another form at the end', ['ΣΊΣΥΦΟΣ', 'σίσυφος', 'σίσυφοσ']],
    ['Turkish', ['DIŞ', 'dış', 'diş', 'DİŞ']],
    ['accents in one character and in two', ['É', 'é', 'E\u0301', 'e\u0301']],
    ['ligatures', ['ﬁle', 'FILE']],
    ['Cherokee, whose small letters came later', ['Ꭰ', 'ꭰ']],
    ['a Greek letter with iota below', ['ᾳ', 'ᾼ', 'ΑΙ']],
  ])('is the same for the spellings of one word: %s', (_, spellings) => {
    expect(new Set(spellings.map(caseFold)).size).toBe(1);
  });

  it('keeps what differs in more than case', () => {
    for (const [one, other] of [
      ['resume', 'résumé'],
      ['か', 'が'],
      ['上海', '上每'],
      ['o', 'ø'],
    ])
      expect(caseFold(one!)).not.toBe(caseFold(other!));
  });

  it('is itself without case, and equal for every letter and its capital', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 8 }), (text) => {
        fc.pre(text.isWellFormed());
        const folded = caseFold(text);
        expect(caseFold(folded)).toBe(folded);
        expect(caseFold(text.normalize('NFD'))).toBe(folded);
        return true;
      }),
    );
    for (let point = 0; point < 0x20000; point += 1) {
      if (point >= 0xd800 && point < 0xe000) continue;
      const letter = String.fromCodePoint(point);
      if (letter.toUpperCase() === letter && letter.toLowerCase() === letter) continue;
      const folded = caseFold(letter);
      if (caseFold(letter.toUpperCase()) !== folded || caseFold(letter.toLowerCase()) !== folded)
        throw new Error(`U+${point.toString(16)} and its other case differ`);
    }
  });
});

describe('tags', () => {
  it('that differ in case or composition alone are one, in the first spelling and in its place', () => {
    expect(uniqueTags(['Straße', 'b', 'STRASSE', 'É', 'e\u0301', 'B', 'e'])).toEqual(['Straße', 'b', 'É', 'e']);
    expect(tagKey('É')).toBe(tagKey('e\u0301'));
  });
});
