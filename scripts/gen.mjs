// npm run gen             generates code from the protobuf contracts, and notes the contract in proto/contract.binpb
// npm run gen -- --break  the same, for a change that clients of the last contract would not survive
// proto/contract.binpb is what `npm run check` holds the contracts against: a break cannot happen by oversight.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ASYNCAPI, asyncApi } from './lib/asyncapi.mjs';
import { CONTRACT, breaks, buf, generateInto } from './lib/contracts.mjs';
import { Refusal, main, step } from './lib/steps.mjs';

await main(async () => {
  const args = process.argv.slice(2);
  if (args.some((arg) => arg !== '--break')) throw new Refusal('usage: npm run gen [-- --break]');
  const found = existsSync(CONTRACT) ? await breaks() : '';
  if (found && !args.includes('--break')) {
    throw new Refusal(
      `This would break clients of the present contract:\n${found}\nIf that is meant: npm run gen -- --break`,
    );
  }
  await step('generate', () => generateInto().then(() => 'proto/gen'));
  await step('event document', async () => {
    mkdirSync(dirname(ASYNCAPI), { recursive: true });
    writeFileSync(ASYNCAPI, await asyncApi());
    return 'docs/events/asyncapi.json';
  });
  await step('contract', async () => {
    const draft = mkdtempSync(join(tmpdir(), 'contract-'));
    try {
      const image = join(draft, 'contract.binpb');
      await buf(['build', '--exclude-source-info', '-o', image]);
      copyFileSync(image, CONTRACT);
    } finally {
      rmSync(draft, { recursive: true });
    }
    return found ? 'changed, with breaks' : 'noted in proto/contract.binpb';
  });
});
