import { caseFold } from '@coursewright/course-model/case-fold';

/**
 * Marks that only colour a letter, as accents and points do. A mark that makes another letter stays: dakuten (か, が), vowel signs of
 * Indian and Thai letters.
 */
const accents =
  /(?![\u3099\u309a])(?=\p{M})[\p{sc=Inherited}\p{sc=Latin}\p{sc=Greek}\p{sc=Cyrillic}\p{sc=Hebrew}\p{sc=Arabic}\p{sc=Syriac}]/gu;
/** What is not seen: soft hyphens, joiners, direction marks; and the stroke that only lengthens an Arabic word. */
const unseen = /[\p{Cf}\u0640]/gu;

/** Letters that Unicode does not take apart, as people type them who have no such key. */
const plain = new Map(
  Object.entries({ æ: 'ae', œ: 'oe', þ: 'th', ø: 'o', ı: 'i', ł: 'l', đ: 'd', ð: 'd', ħ: 'h', ŧ: 't', ŋ: 'n', ĸ: 'k' }),
);
const unlike = new RegExp(`[${[...plain.keys()].join('')}]`, 'gu');

/** A text without case, accents and compatibility forms, in NFC: what titles are sorted by and searches compare. */
export function fold(text: string): string {
  const bare = text.normalize('NFKD').replace(accents, '').replace(unseen, '');
  return caseFold(bare).replace(unlike, (letter) => plain.get(letter) ?? letter);
}
