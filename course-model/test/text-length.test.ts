import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { codePoints, firstPoints, isAtMost } from '@coursewright/course-model/text-length';

describe('the length of a text', () => {
  it('counts code points, so that a picture is as long as a letter', () => {
    expect(codePoints('🎓a上')).toBe(3);
    expect(isAtMost('🎓'.repeat(500), 500)).toBe(true);
    expect(isAtMost('🎓'.repeat(501), 500)).toBe(false);
    expect(firstPoints('🎓🎓x', 1)).toBe('🎓');
  });

  it('is what iterating over a text gives, for any text and limit', () => {
    const anyText = fc.string({ unit: 'binary', maxLength: 20 });
    fc.assert(
      fc.property(
        fc.oneof(anyText, fc.string({ unit: fc.constantFrom('\ud83c', '\udf93', 'a', 'é') })),
        fc.nat(25),
        (text, most) => {
          const points = [...text];
          expect(codePoints(text)).toBe(points.length);
          expect(isAtMost(text, most)).toBe(points.length <= most);
          expect(firstPoints(text, most)).toBe(points.slice(0, most).join(''));
        },
      ),
    );
  });
});
