/** A file as text, and what had to be done to it. */
export interface Decoded {
  text: string;
  /** What had to be replaced: bytes that are no text in its encoding, or the character NUL. */
  damaged: boolean;
  /** An encoding that the file names and nobody knows; it was read as UTF-8. */
  unknown?: string;
}

/** Bytes at the beginning in which a file may name its encoding. */
const PROLOGUE = 1024;
const XML_DECLARATION = /^\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']/;
const HTML_DECLARATION = /<meta\s[^>]*?\bcharset\s*=\s*["']?([A-Za-z0-9._:-]{1,40})/i;

/**
 * A file as text, in the encoding that its byte order mark says, else its XML declaration or its `<meta charset>`, else UTF-8 (XML 1.0,
 * appendix F; names as in the Encoding Standard, for which ISO-8859-1 is windows-1252). A file that names UTF-16 and is
 * written in single bytes is UTF-8.
 */
export function decodeText(bytes: Uint8Array): Decoded {
  const wide = wideEncoding(bytes);
  const named = wide ?? declared(bytes);
  const decoder = named === undefined ? undefined : decoderOf(named);
  const text = (decoder ?? new TextDecoder('utf-8')).decode(bytes);
  const clean = text.replaceAll('\0', '\uFFFD');
  const damaged = clean.includes('\uFFFD');
  return named === undefined || decoder ? { text: clean, damaged } : { text: clean, damaged, unknown: named };
}

/** UTF-16 by its mark, or by how `<` is written; UTF-8 by its mark. */
function wideEncoding([first, second, third, fourth]: Uint8Array): string | undefined {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  if (first === 0xef && second === 0xbb && third === 0xbf) return 'utf-8';
  if (first === 0x3c && second === 0 && third !== 0 && fourth === 0) return 'utf-16le';
  if (first === 0 && second === 0x3c && third === 0 && fourth !== 0) return 'utf-16be';
  return undefined;
}

function declared(bytes: Uint8Array): string | undefined {
  const prologue = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, PROLOGUE)).toString('latin1');
  const name = (XML_DECLARATION.exec(prologue) ?? HTML_DECLARATION.exec(prologue))?.[1];
  return name === undefined || /^utf-?16/i.test(name) ? undefined : name;
}

function decoderOf(name: string): InstanceType<typeof TextDecoder> | undefined {
  try {
    return new TextDecoder(name);
  } catch {
    return undefined;
  }
}
