// npm run status: what of this checkout's system runs, and whether it answers. Exit 0 only when all of it does.
import { join } from 'node:path';
import { ask, runningSupervisor } from './lib/control.mjs';
import { dataFolder } from './lib/data-folder.mjs';
import { readJson } from './lib/files.mjs';
import { leftovers } from './lib/leftovers.mjs';
import { isReady } from './lib/ready.mjs';
import { main } from './lib/steps.mjs';

await main(async () => {
  const folder = dataFolder();
  const supervisor = runningSupervisor(folder);
  if (!supervisor) {
    const left = leftovers(folder).map(({ name, pid }) => `${name} (${pid})`);
    console.log(
      left.length > 0
        ? `The supervisor is gone; these still run: ${left.join(', ')}. npm run stop ends them.`
        : 'Not running.',
    );
    return 1;
  }
  const { units } = await ask(supervisor, 'state');
  const rows = await Promise.all(
    Object.entries(units).map(async ([name, unit]) => {
      const up = unit.own && unit.pid === null ? false : await isReady(unit.ready);
      const word = up ? 'ready' : unit.wanted ? 'down' : 'stopped';
      return { name, up, word, ...unit };
    }),
  );
  for (const { name, word, pid, restarts, describe } of rows) {
    const again = restarts > 0 ? `restarted ${restarts}×` : '';
    console.log(
      `  ${name.padEnd(12)} ${word.padEnd(8)} ${String(pid ?? '–').padEnd(8)} ${describe.text ?? describe.url} ${again}`.trimEnd(),
    );
  }
  const { gateway } = readJson(join(folder, 'coursewright.json')) ?? {};
  console.log(`\n  ${gateway ?? 'the gateway is not up yet'}   logs in ${join(folder, 'log')}`);
  return rows.every(({ up }) => up) ? 0 : 1;
});
