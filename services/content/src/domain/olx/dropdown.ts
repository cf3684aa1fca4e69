/**
 * The choices of a dropdown as OLX lists them in an attribute, in Python's way: `('A','B')`, `["A", "B"]`, `('I don't know','Yes')`,
 * `(A,B,C)`. Either quote opens a choice; it ends at the same quote when only blanks stand before a comma, the bracket or the end, so
 * that an apostrophe inside of a word is part of it; blanks and a further quote end it too. A backslash takes the next character as it
 * is. Without quotes commas part them.
 */
export function dropdownChoices(attribute: string): string[] {
  const list = inner(attribute.trim());
  const choices: string[] = [];
  let at = 0;
  while (at < list.length) {
    at = skipBlanks(list, at);
    if (at >= list.length) break;
    const start = list[at] === 'u' && isQuote(list[at + 1]) ? at + 1 : at;
    const { text, end } = isQuote(list[start]) ? quoted(list, start) : plain(list, at);
    choices.push(text);
    at = skipBlanks(list, end);
    if (list[at] === ',') at++;
  }
  return choices.filter((choice) => choice !== '');
}

const BRACKETS = new Map([
  ['(', ')'],
  ['[', ']'],
  ['{', '}'],
]);

/** What stands between the brackets, where there are some. */
function inner(list: string): string {
  const close = BRACKETS.get(list[0] ?? '');
  if (close === undefined) return list;
  return list.endsWith(close) ? list.slice(1, -1) : list.slice(1);
}

function isQuote(character: string | undefined): boolean {
  return character === "'" || character === '"';
}

function skipBlanks(list: string, from: number): number {
  let at = from;
  while (at < list.length && /\s/.test(list[at] ?? '')) at++;
  return at;
}

function quoted(list: string, start: number): { text: string; end: number } {
  const quote = list[start];
  let text = '';
  let at = start + 1;
  for (; at < list.length; at++) {
    const character = list[at] ?? '';
    if (character === '\\' && at + 1 < list.length) {
      at++;
      text += list[at] ?? '';
    } else if (character === quote && endsChoice(list, at + 1)) return { text, end: at + 1 };
    else text += character;
  }
  // Never closed: what there is of it.
  return { text: text.trim(), end: at };
}

/** Whether a quote before a place ends a choice: a comma follows, or the next choice behind blanks, or nothing. */
function endsChoice(list: string, from: number): boolean {
  const at = skipBlanks(list, from);
  return at >= list.length || list[at] === ',' || (at > from && isQuote(list[at]));
}

function plain(list: string, from: number): { text: string; end: number } {
  const comma = list.indexOf(',', from);
  const end = comma < 0 ? list.length : comma;
  return { text: list.slice(from, end).trim(), end };
}
