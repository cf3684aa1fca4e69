/** The files of an archive that somebody sent, by their paths as `safePath` made them. */
export interface Archive {
  /** All paths, the same at each reading; half a million are legal. */
  readonly paths: Iterable<string>;
  /** How many bytes a file has, or undefined when there is none of that path. */
  size(path: string): number | undefined;
  /** The bytes of a file, or undefined when there is none of that path. */
  read(path: string): Promise<Uint8Array | undefined>;
}

/** Lets other work of the process have its turn, when this has gone on for long; undefined when it has not yet. */
export type Pause = () => Promise<void> | undefined;

/** What an archive may be at most; beyond it is refused before it is read further. */
export interface ArchiveLimits {
  readonly entries: number;
  /** Characters of all names together: they are in memory while the archive is open. */
  readonly names: number;
  /** Bytes of one file and of all files, unpacked. */
  readonly fileBytes: number;
  readonly totalBytes: number;
  /** Unpacked bytes for each packed byte, once more than 10 MB are unpacked. */
  readonly ratio: number;
}

/**
 * The path of an archive's entry in one form: "/" between parts, no "." parts. Undefined for what could point outside of the
 * archive or means different things on different systems: absolute paths, "..", drive letters, control characters, more than
 * 1,024 characters or 32 parts.
 */
export function safePath(name: string): string | undefined {
  if (name.length > 1024 || /[\u0000-\u001f\u007f]/.test(name)) return undefined;
  const path = name.replaceAll('\\', '/');
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) return undefined;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length === 0 || parts.length > 32 || parts.includes('..')) return undefined;
  return parts.join('/').normalize('NFC');
}

/** A file as text. `damaged` says what had to be replaced: bytes that are no UTF-8, or the character NUL. */
export function decodeText(bytes: Uint8Array): { text: string; damaged: boolean } {
  const text = new TextDecoder('utf-8', { fatal: false }).decode(bytes);
  const clean = text.replaceAll('\0', '\uFFFD');
  return { text: clean, damaged: clean.includes('\uFFFD') };
}
