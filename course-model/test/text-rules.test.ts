import { describe, expect, it } from '@jest/globals';
import { applyTextRules } from '@coursewright/course-model/text-rules';

describe('combining marks', () => {
  const [above, below] = ['\u0301', '\u0316'];

  it.each([
    ['alone', (above + below).repeat(125_000)],
    ['after a letter', 'a' + (above + below).repeat(125_000)],
    ['of one kind, then of the other', 'a' + above.repeat(125_000) + below.repeat(125_000)],
    ['from beyond the first plane', 'a' + '\u{1d165}\u{1d167}'.repeat(60_000)],
  ])('in a hundred thousands, %s, are refused at once', (_how, text) => {
    const began = process.cpuUsage();
    const { problems } = applyTextRules({ title: text });
    const { user, system } = process.cpuUsage(began);
    expect(problems).toEqual([expect.objectContaining({ pointer: '/title', code: 'too_many_marks' })]);
    expect(user + system).toBeLessThan(500_000);
  });

  it('as scripts have them are kept, in normal form, however long the text', () => {
    const text = `a${above}${below} क\u093e क\u094d\u0937\u093f `.repeat(1_000);
    expect(applyTextRules(text)).toEqual({ value: text.normalize('NFC'), problems: [] });
    const thirty = `a${below.repeat(30)}`;
    expect(applyTextRules(thirty)).toEqual({ value: thirty, problems: [] });
    expect(applyTextRules(thirty + below).problems).toHaveLength(1);
  });

  it('are bounded in names, too', () => {
    expect(applyTextRules({ [below.repeat(31)]: 1 }).problems[0]?.code).toBe('too_many_marks');
  });
});
