// The running system of this checkout, as the commands see it.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ask, runningSupervisor } from './control.mjs';
import { endLeftovers, leftovers } from './leftovers.mjs';
import { productNode, root } from './paths.mjs';
import { Refusal } from './steps.mjs';

/** Whether anything of this checkout's system runs: its supervisor, or what a killed supervisor left. */
export function isRunning(folder) {
  return runningSupervisor(folder) !== null || leftovers(folder).length > 0;
}

/** Starts the supervisor in the background and waits until it takes orders; it lives as long as its parent or `detach`. */
export async function startSupervisor(folder, port) {
  mkdirSync(join(folder, 'log'), { recursive: true });
  const log = openSync(join(folder, 'log/supervisor.log'), 'a');
  const child = spawn(productNode(), [join(root, 'scripts/supervise.mjs'), folder, String(port)], {
    cwd: root,
    stdio: ['ignore', log, log, 'ipc'],
    detached: true,
  });
  closeSync(log);
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('error', reject);
    child.once('exit', () => reject(new Refusal(`the supervisor did not start; see ${folder}/log/supervisor.log`)));
  });
  const supervisor = runningSupervisor(folder);
  if (!supervisor) throw new Refusal(`the supervisor did not start; see ${folder}/log/supervisor.log`);
  return { supervisor, child };
}

/** Lets the supervisor live on after this command. */
export async function leaveRunning({ supervisor, child }) {
  await ask(supervisor, 'detach');
  child.disconnect();
  child.unref();
}

/** Stops everything of this checkout; resolves to the names of what ran, or an empty list. */
export async function stopAll(folder) {
  const supervisor = runningSupervisor(folder);
  const names = leftovers(folder).map(({ name }) => name);
  if (supervisor) await ask(supervisor, 'close');
  else await endLeftovers(folder);
  for (const file of ['coursewright.json', 'supervisor.json']) rmSync(join(folder, file), { force: true });
  return names;
}
