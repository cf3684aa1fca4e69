// Where things lie in the checkout.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout, without a slash at its end. */
export const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** The Node that runs the product: the pinned one once the packages are installed, else the one that runs now. */
export function productNode() {
  const pinned = join(root, 'node_modules/.bin/node');
  return existsSync(pinned) ? pinned : process.execPath;
}

/** The path of a tool's command file, given its name in node_modules/.bin. */
export function tool(name) {
  return join(root, 'node_modules/.bin', name);
}

/** Loads a package that is there only after the installation, as seen from a folder (of the checkout, unless its path is absolute). */
export function requireFrom(folder, name) {
  return createRequire(resolve(root, folder, 'package.json'))(name);
}
