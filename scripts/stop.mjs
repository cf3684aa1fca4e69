// npm run stop            stops the system of this checkout, in order: gateway, services, data servers
// npm run stop -- <name>  stops one process or data server, until `npm start -- <name>`
import { ask, runningSupervisor } from './lib/control.mjs';
import { dataFolder } from './lib/data-folder.mjs';
import { stopAll } from './lib/running.mjs';
import { Refusal, main, step } from './lib/steps.mjs';

await main(async () => {
  const folder = dataFolder();
  const [name, ...more] = process.argv.slice(2);
  if (more.length > 0 || name?.startsWith('-')) throw new Refusal('usage: npm run stop [-- <process or server>]');
  if (name) {
    const supervisor = runningSupervisor(folder);
    if (!supervisor) throw new Refusal('nothing runs here');
    await step(`stop ${name}`, () => ask(supervisor, 'stop', { name }).then(() => ''));
    return;
  }
  await step('stop', async () => {
    const names = await stopAll(folder);
    return names.length > 0 ? names.join(', ') : 'nothing was running';
  });
});
