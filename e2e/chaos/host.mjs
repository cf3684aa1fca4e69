// The process in which the system's supervisor lives, so that it can be killed as any other. Takes orders from the suite.
import { endLeftovers } from '../../scripts/lib/leftovers.mjs';
import { startSystem } from '../../scripts/system.mjs';

let system;
let beginning;

function facts() {
  const { dir, ports, gateway, tokens, opsToken, natsAdmin, servers, keys, processes } = system;
  return { dir, ports, gateway, tokens, opsToken, natsAdmin, servers, keys, processes };
}

const verbs = {
  async begin({ options }) {
    // As `npm start` does: what a supervisor left that was killed is ended first.
    await endLeftovers(options.dir);
    beginning = startSystem(options);
    system = await beginning;
    return facts();
  },
  sweep: async ({ options }) => void (await endLeftovers(options.dir, { hard: true })),
  pid: async ({ name }) => system.pid(name),
  kill: async ({ name }) => system.kill(name),
  stop: ({ name }) => system.stopProcess(name),
  start: ({ name }) => system.startProcess(name),
  wipe: ({ name }) => system.wipe(name),
  close: async () => system?.stop(),
};

process.on('message', ({ id, verb, ...order }) => {
  verbs[verb](order).then(
    (result) => process.send?.({ id, result }),
    (error) => process.send?.({ id, error: error.stack }),
  );
});
// The suite is gone: so goes the system.
process.on('disconnect', async () => {
  try {
    await (await beginning)?.stop();
  } finally {
    process.exit(1);
  }
});
