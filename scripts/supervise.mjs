// The process in the background that `npm start` leaves behind. It owns servers and processes, brings back what dies,
// and keeps .data/coursewright.json true. Arguments: the data folder and the control port.
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { serveControl } from './lib/control.mjs';
import { writeJson } from './lib/files.mjs';
import { identify } from './lib/pids.mjs';
import { Supervisor } from './lib/supervisor.mjs';

const [folder, port] = [process.argv[2], Number(process.argv[3])];
const secret = randomBytes(24).toString('base64url');
const record = join(folder, 'supervisor.json');
const description = join(folder, 'coursewright.json');

/** What the start command told about the system: gateway, tokens, sampleCourse. */
let told = null;
let detached = false;
let closing = null;

const supervisor = new Supervisor({ folder, changed: describe });

function describe() {
  if (!told || closing) return;
  const rows = Object.entries(supervisor.state());
  const of = (kind) => rows.filter(([, row]) => row.kind === kind);
  writeJson(description, {
    ...told,
    processes: Object.fromEntries(of('process').map(([name, row]) => [name, { pid: row.pid, ...row.describe }])),
    servers: Object.fromEntries(of('server').map(([name, row]) => [name, row.describe.url])),
    chosen: Object.fromEntries(
      of('server').map(
        ([
          name,
          {
            pid,
            describe: { how, version, standIn, text },
          },
        ]) => {
          return [name, { pid, how, version, standIn, text }];
        },
      ),
    ),
  });
}

function close() {
  closing ??= (async () => {
    rmSync(description, { force: true });
    await supervisor.close();
    rmSync(record, { force: true });
    // The answer to whoever asked goes out first.
    setTimeout(() => process.exit(0), 50);
  })();
  return closing;
}

const verbs = {
  add: async ({ units }) => {
    for (const unit of units) supervisor.add(unit);
  },
  ready: async ({ names, ms }) => {
    await Promise.all(names.map((name) => supervisor.ready(name, ms)));
  },
  describe: async (facts) => {
    told = { ...told, ...facts };
    describe();
  },
  start: async ({ name }) => supervisor.start(name),
  stop: async ({ name }) => supervisor.stop(name),
  state: async () => ({ units: supervisor.state(), told: told !== null }),
  detach: async () => {
    detached = true;
  },
  close,
};

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => void close());
// The command in the foreground is gone (its window was closed, or it was killed): so goes the system.
process.on('disconnect', () => detached || void close());

// Whatever goes wrong in one place must not take the watch away from all others.
for (const event of ['uncaughtException', 'unhandledRejection'])
  process.on(event, (error) => console.error(event, error));

await serveControl({ port, secret, verbs });
writeJson(record, { ...identify(process.pid), port, secret });
process.send?.('ready');
