// Preloaded into the processes of a chaos run. Gives each connection to PostgreSQL the name of its process, for the trails of the suite,
// and sets the clock of this process off by as many milliseconds as the file of its operators' port says, from one moment to the next.
// The clocks that only go on (performance, timers) stay as they are, as when somebody sets the clock of a machine.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const LOOK_MS = 200;
const { CHAOS_CLOCKS: folder, OPS_PORT: port } = process.env;

if (port && process.env.DATABASE_URL) {
  const url = new URL(process.env.DATABASE_URL);
  url.searchParams.set('application_name', process.env.INSTANCE ?? port);
  process.env.DATABASE_URL = url.href;
}

if (folder && port) {
  const file = join(folder, port);
  let shift = 0;
  const look = () => {
    try {
      shift = Number(readFileSync(file, 'utf8')) || 0;
    } catch {
      shift = 0;
    }
  };
  look();
  setInterval(look, LOOK_MS).unref();
  const RealDate = Date;
  const realNow = RealDate.now.bind(RealDate);
  const now = () => realNow() + shift;
  RealDate.now = now;
  // Not a class of its own: a date that Node itself makes is one of these, too.
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget === globalThis.Date ? target : newTarget),
    apply: () => new RealDate(now()).toString(),
  });
}
