/** A text without case, accents and compatibility forms: what titles are sorted by and searches compare. */
export function fold(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

/** At most so many characters of a text, never half a surrogate pair. */
export function clip(text: string, characters: number): string {
  if (text.length <= characters) return text;
  return [...text.slice(0, characters * 2)].slice(0, characters).join('');
}
