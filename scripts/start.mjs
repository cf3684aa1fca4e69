// npm start                  brings everything up and stays until Ctrl-C
// npm start -- --detach      brings everything up and returns
// npm start -- --replicas 2  runs two of each service (catalog and catalog-2, …) and one gateway; goes with --detach
// npm start -- <name>        starts one process or data server that was stopped
// Needs nothing but Node 20 and npm: what it imports at the top has no dependency.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ask, runningSupervisor } from './lib/control.mjs';
import { dataFolder } from './lib/data-folder.mjs';
import { readJson } from './lib/files.mjs';
import { tryLock } from './lib/lock.mjs';
import { isAlive } from './lib/pids.mjs';
import { leaveRunning, stopAll } from './lib/running.mjs';
import { bringUp } from './lib/bring-up.mjs';
import { MOST_REPLICAS } from './lib/names.mjs';
import { withoutSupervisor } from './lib/status.mjs';
import { summary } from './lib/summary.mjs';
import { Refusal, duration, main, step } from './lib/steps.mjs';

const USAGE = `usage: npm start [-- [--detach] [--replicas <1 to ${MOST_REPLICAS}>] | <process or server>]`;

async function startOne(folder, name) {
  const supervisor = runningSupervisor(folder);
  if (!supervisor) throw new Refusal('nothing runs here; `npm start` brings everything up');
  await step(`start ${name}`, async () => {
    await ask(supervisor, 'start', { name });
    await ask(supervisor, 'ready', { names: [name], ms: 60_000 });
  });
}

/** Waits for Ctrl-C or for the end of the system, whichever comes first. */
async function stay(folder, { supervisor }) {
  let asked = false;
  const stop = async () => {
    if (asked) return;
    asked = true;
    console.log('');
    await step('stop', () => stopAll(folder).then((names) => names.join(', ')));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void stop());
  while (isAlive(supervisor)) await sleep(200);
  if (!asked) console.log(`\n${withoutSupervisor(folder) || 'The system was stopped.'}`);
}

async function startAll(folder, { detach, replicas }) {
  const begun = Date.now();
  const release = tryLock(join(folder, 'start.lock'));
  if (!release) throw new Refusal('another `npm start` is bringing this checkout up');
  let running;
  const interrupt = async () => {
    console.log('\n  interrupted');
    await stopAll(folder).catch((error) => console.error(error.message));
    release();
    process.exit(130);
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    running = await bringUp(folder, { replicas });
  } catch (error) {
    await stopAll(folder);
    throw error;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    release();
  }
  console.log(
    `\nReady after ${duration(Date.now() - begun)}.\n\n${summary(readJson(join(folder, 'coursewright.json')))}`,
  );
  if (detach) return leaveRunning(running);
  console.log('\nCtrl-C stops everything.');
  return stay(folder, running);
}

function parsed(args) {
  const options = { detach: { type: 'boolean', default: false }, replicas: { type: 'string' } };
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch {
    throw new Refusal(USAGE);
  }
}

/** What the arguments ask for: `{name, detach, replicas}`; a name stands alone. */
function asked(args) {
  const { values, positionals } = parsed(args);
  const replicas = Number(values.replicas ?? 1);
  const whole = Number.isInteger(replicas) && replicas >= 1 && replicas <= MOST_REPLICAS;
  if (!whole || positionals.length > 1 || (positionals.length === 1 && args.length > 1)) throw new Refusal(USAGE);
  return { name: positionals[0], detach: values.detach, replicas };
}

await main(async () => {
  process.umask(0o022);
  const { name, detach, replicas } = asked(process.argv.slice(2));
  const folder = dataFolder();
  if (name) return startOne(folder, name);
  const described = readJson(join(folder, 'coursewright.json'));
  if (runningSupervisor(folder) && described) {
    console.log(`Runs already; \`npm run stop\` first takes in what has changed.\n\n${summary(described)}`);
    return undefined;
  }
  return startAll(folder, { detach, replicas });
});
