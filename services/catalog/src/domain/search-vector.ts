import { piecesOf } from './words.js';

/** Folded texts of a card. */
export interface SearchedTexts {
  readonly title: string;
  /** Topic and tags, each by itself. */
  readonly labels: readonly string[];
  readonly description: string;
}

// PostgreSQL's limits: what stands further back is found, but not as part of a phrase.
const lastPosition = 16_383;
const mostPositions = 255;
/** So far apart stand two texts, that no phrase reaches from one into the other. */
const gap = 8;

/**
 * Texts as PostgreSQL's tsvector, in its own notation: words with their positions and weights (title A, labels B, description C). A
 * stretch without blanks is there as each pair of neighbours, and its last character alone, so that any part of it is found: two
 * characters by their pair, more by pairs in a row, one by what begins with it.
 */
export function searchVector({ title, labels, description }: SearchedTexts): string {
  const places = new Map<string, string[]>();
  let at = 1;
  const add = (text: string, weight: string): void => {
    for (const { units, isStretch } of piecesOf(text)) {
      for (const [n, unit] of units.entries()) {
        const lexeme = isStretch ? unit + (units[n + 1] ?? '') : unit;
        const own = places.get(lexeme);
        const place = `${Math.min(at, lastPosition)}${weight}`;
        if (own === undefined) places.set(lexeme, [place]);
        else if (own.length < mostPositions) own.push(place);
        at += 1;
      }
    }
    at += gap;
  };
  add(title, 'A');
  for (const label of labels) add(label, 'B');
  add(description, 'C');
  return [...places].map(([lexeme, own]) => `'${lexeme}':${own.join(',')}`).join(' ');
}
