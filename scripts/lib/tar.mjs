// Writes a folder as tar (ustar), the same bytes for the same files.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK = 512;

/** Splits a path into the two fields of a ustar header; throws when it fits into neither. */
export function splitPath(path) {
  if (Buffer.byteLength(path) <= 100) return { prefix: '', name: path };
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)];
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return { prefix, name };
  }
  throw new Error(`too long a path for an archive: ${path}`);
}

function header(path, size) {
  const { prefix, name } = splitPath(path);
  const block = Buffer.alloc(BLOCK);
  const put = (text, at) => block.write(text, at);
  const octal = (value, width) => `${value.toString(8).padStart(width - 1, '0')}\0`;
  put(name, 0);
  put(octal(0o644, 8) + octal(0, 8) + octal(0, 8) + octal(size, 12) + octal(0, 12), 100);
  put('        ', 148);
  put('0', 156);
  put('ustar\u000000', 257);
  put(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function* filesBelow(folder, path) {
  const entries = readdirSync(join(folder, path), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const child = path ? `${path}/${entry.name}` : entry.name;
    if (entry.isDirectory()) yield* filesBelow(folder, child);
    else if (entry.isFile()) yield child;
  }
}

/** The tar archive of all regular files below `folder`, as paths below `top`. */
export function tarOf(folder, top) {
  const parts = [];
  for (const path of filesBelow(folder, '')) {
    const bytes = readFileSync(join(folder, path));
    parts.push(header(`${top}/${path}`, bytes.length), bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}
