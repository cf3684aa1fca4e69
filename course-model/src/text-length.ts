/**
 * The one unit of length of names and texts: Unicode code points, as JSON Schema's `maxLength` and PostgreSQL's `char_length` count
 * them. `'🎓'.length` is 2 in JavaScript and 1 here. Half of a surrogate pair counts as one.
 */
export function codePoints(text: string): number {
  let count = text.length;
  for (let i = 0; i + 1 < text.length; i++) {
    if (isHigh(text.charCodeAt(i)) && isLow(text.charCodeAt(i + 1))) {
      count--;
      i++;
    }
  }
  return count;
}

/** Whether a text has at most so many code points; looks no further than it must. */
export function isAtMost(text: string, most: number): boolean {
  if (text.length <= most) return true;
  return text.length <= 2 * most && codePoints(text) <= most;
}

/** The first code points of a text, at most so many; never half of a surrogate pair. */
export function firstPoints(text: string, most: number): string {
  if (text.length <= most) return text;
  let at = 0;
  for (let left = most; left > 0 && at < text.length; left--) {
    at += isHigh(text.charCodeAt(at)) && isLow(text.charCodeAt(at + 1)) ? 2 : 1;
  }
  return text.slice(0, at);
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
