// npm run status: what of this checkout's system runs, and whether it answers. Exit 0 only when all of it does.
import { dataFolder } from './lib/data-folder.mjs';
import { statusOf } from './lib/status.mjs';
import { main } from './lib/steps.mjs';

await main(async () => {
  const { text, up } = await statusOf(dataFolder());
  console.log(text);
  return up ? 0 : 1;
});
