import { firstPoints } from '@coursewright/course-model/text-length';

/** Scripts that write words without blanks between them, or with endings attached (Hangul). */
const unspaced =
  '\\p{scx=Han}\\p{scx=Hira}\\p{scx=Kana}\\p{scx=Bopo}\\p{scx=Hang}\\p{scx=Thai}\\p{scx=Laoo}\\p{scx=Khmr}\\p{scx=Mymr}';
/** One character of such a script with its marks, or a whole word of any other. */
const piece = new RegExp(
  `((?=[\\p{L}\\p{N}])[${unspaced}]\\p{M}*)|(?![${unspaced}])[\\p{L}\\p{N}](?:(?![${unspaced}])[\\p{L}\\p{N}\\p{M}])*`,
  'gu',
);
// PostgreSQL takes no word beyond 2,046 bytes.
const longest = 255;

/** A word, or a stretch of characters that are written without blanks. */
export interface Piece {
  /** One word, or the characters of a stretch. */
  readonly units: readonly string[];
  readonly isStretch: boolean;
}

/** The words and stretches of a folded text, in order; whatever is neither letter nor digit divides them. */
export function piecesOf(folded: string): Piece[] {
  const pieces: { units: string[]; isStretch: boolean }[] = [];
  let end = -1;
  for (const { 0: text, 1: unit, index } of folded.matchAll(piece)) {
    const last = pieces.at(-1);
    if (unit !== undefined && last?.isStretch && index === end) last.units.push(firstPoints(unit, longest));
    else pieces.push({ units: [firstPoints(text, longest)], isStretch: unit !== undefined });
    end = index + text.length;
  }
  return pieces;
}
