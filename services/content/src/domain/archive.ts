import { normalForm } from './text.js';

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

/** The path of an archive's entry in one form, or why it has none: it leaves the archive, or no system could hold it. */
export type EntryPath = { readonly path: string } | { readonly refused: 'outside' | 'odd' };

/**
 * The path of an archive's entry in one form: "/" between parts, no "." parts, NFC. `outside` is what could point outside of the
 * archive: absolute paths, "..", drive letters. `odd` is what is harmless and no name of a course's file: control characters, more
 * than 1,024 characters or 32 parts, nothing at all.
 */
export function entryPath(name: string): EntryPath {
  const path = name.replaceAll('\\', '/');
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) return { refused: 'outside' };
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return { refused: 'outside' };
  if (name.length > 1024 || /[\u0000-\u001f\u007f]/.test(name) || parts.length === 0 || parts.length > 32)
    return { refused: 'odd' };
  return { path: normalForm(parts.join('/')) };
}
