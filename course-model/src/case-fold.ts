/**
 * A text without case, in NFC: what two spellings have in common that differ in capitals alone (`Straße`, `STRASSE`), as Unicode's full
 * case folding has it, for every language alike. The forms of sigma and of the Turkish i are one letter each. Accents stay.
 */
export function caseFold(text: string): string {
  // Down first, since ẞ has no capital; up, since ß and ligatures have theirs in several letters; down to where all meet.
  const folded = text.normalize('NFD').toLowerCase().toUpperCase().toLowerCase();
  return folded.replaceAll('ς', 'σ').replaceAll('i\u0307', 'i').normalize('NFC');
}
