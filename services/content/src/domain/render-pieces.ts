/** A part of a page: what is safe as it stands, or a tag that the sanitiser has yet to see. */
export type Piece = string | Tag;

/** One half of an element. All elements that begin alike share their two halves. */
export interface Tag {
  /** As it was read. */
  readonly raw: string;
  /** As it may be shown; empty for an element of which only the contents are. */
  safe: string;
}

interface Element {
  readonly open: Tag;
  readonly close: Tag;
}

/** Stands between elements while they are sanitised. None of them holds anything, so it is part of none. */
const BETWEEN = '<tt>|</tt>';

/**
 * HTML taken apart into texts and elements, each of them closed. The sanitiser decides on elements alone, never on texts, and alike on those
 * that begin alike: so each kind of beginning is shown to it once instead of the whole text, which would be parsed a second time for it.
 */
export class Pieces {
  private readonly pieces: Piece[] = [];
  private readonly elements = new Map<string, Element>();
  private isOdd = false;

  push(...pieces: readonly Piece[]): void {
    for (const piece of pieces) if (piece !== '') this.pieces.push(piece);
  }

  /** The halves of an element that begins with this tag; `name` is empty when nothing ends it. */
  element(start: string, name: string): Element {
    let element = this.elements.get(start);
    if (element === undefined) {
      element = { open: { raw: start, safe: '' }, close: { raw: name === '' ? '' : `</${name}>`, safe: '' } };
      this.elements.set(start, element);
    }
    return element;
  }

  /** Says that a parser would build something else of the pieces than their order says: they are sanitised as one text. */
  mustBeParsed(): void {
    this.isOdd = true;
  }

  /** All pieces as safe HTML. */
  sanitized(sanitize: (html: string) => string): string {
    if (this.isOdd || !this.sanitizeElements(sanitize)) return sanitize(this.raw());
    let html = '';
    for (const piece of this.pieces) html += typeof piece === 'string' ? piece : piece.safe;
    return html;
  }

  /** All pieces as they were read. */
  raw(): string {
    return this.pieces.map((piece) => (typeof piece === 'string' ? piece : piece.raw)).join('');
  }

  /** False when what comes back is not what was given, one by one. */
  private sanitizeElements(sanitize: (html: string) => string): boolean {
    const elements = [...this.elements.values()];
    if (elements.length === 0) return true;
    const shown = sanitize(elements.map(({ open, close }) => open.raw + close.raw).join(BETWEEN)).split(BETWEEN);
    if (shown.length !== elements.length) return false;
    return elements.every(({ open, close }, at) => {
      const html = shown[at] ?? '';
      const end = html === '' ? '' : close.raw;
      if (!html.endsWith(end)) return false;
      open.safe = html.slice(0, html.length - end.length);
      close.safe = end;
      return open.safe === '' || open.safe.indexOf('>') === open.safe.length - 1;
    });
  }
}
