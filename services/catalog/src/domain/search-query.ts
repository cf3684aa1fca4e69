import { fold } from './fold.js';
import { piecesOf } from './words.js';

/** Quotes of any language; those of full width are folded. */
const quotes = /[“”„‟«»「」『』《》]/gu;
/** A phrase in quotes, closed or not, or a word; each with its minus. */
const part = /([-−]*)(?:"([^"]*)"?|([^\s"]+))/gu;

/**
 * What somebody typed as PostgreSQL's tsquery, in its own notation: all words, `or` between two for either, a minus before what must not
 * be there, quotes around what must stand together. A word that falls into several, or is written without blanks, is such a phrase as
 * well. Empty when there is nothing to look for; then nothing is found.
 */
export function searchQuery(text: string): string {
  const found = [...fold(text).replace(quotes, '"').matchAll(part)];
  const either: string[][] = [[]];
  let isOr = false;
  for (const [n, { 1: minus, 2: quoted, 3: word }] of found.entries()) {
    // At the beginning, at the end and twice it is a word as any other.
    if (word === 'or' && minus === '' && !isOr && either.at(-1)!.length > 0 && n + 1 < found.length) {
      isOr = true;
      continue;
    }
    const phrase = phraseOf(quoted ?? word ?? '');
    if (phrase === '') continue;
    if (isOr) either.push([]);
    isOr = false;
    either.at(-1)!.push(minus === '' ? phrase : `!${phrase}`);
  }
  return either.map((all) => all.join(' & ')).join(' | ');
}

/** Words at the distances that they have in a vector; see `searchVector`. */
function phraseOf(folded: string): string {
  const words: { text: string; at: number }[] = [];
  let at = 0;
  for (const { units, isStretch } of piecesOf(folded)) {
    if (!isStretch) words.push({ text: `'${units[0]}'`, at });
    else if (units.length === 1) words.push({ text: `'${units[0]}':*`, at });
    else for (let n = 0; n + 1 < units.length; n += 1) words.push({ text: `'${units[n]}${units[n + 1]}'`, at: at + n });
    at += units.length;
  }
  const phrase = words.map(({ text, at: here }, n) => (n === 0 ? text : ` <${here - words[n - 1]!.at}> ${text}`));
  return words.length > 1 ? `(${phrase.join('')})` : phrase.join('');
}
