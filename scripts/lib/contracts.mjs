// The protobuf contracts: their generated code, and what would break clients of the last one.
import { join } from 'node:path';
import { productNode, root, tool } from './paths.mjs';
import { run } from './run.mjs';

const PROTO = join(root, 'proto');

/** The contract as it was last noted: a compiled image without comments. */
export const CONTRACT = join(PROTO, 'contract.binpb');

/** Runs buf in proto/. Plugins are Node scripts, so the product's Node goes first on the PATH. */
export function buf(args, options = {}) {
  const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` };
  return run(productNode(), [tool('buf'), ...args], {
    cwd: PROTO,
    env,
    ...options,
  });
}

/** Generates code into `gen/` below a folder; the one in the repository lies in proto/. What lay there goes. */
export async function generateInto(folder = PROTO) {
  await buf(['generate', '--output', folder]);
}

/** What in the present contracts would break clients of the noted one: buf's lines, '' when nothing would. */
export async function breaks() {
  const { code, stdout, stderr } = await buf(['breaking', '--against', CONTRACT], { accept: [100] });
  return code === 100 ? `${stdout}${stderr}`.trim() : '';
}
