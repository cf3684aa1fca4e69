// Runs programs, brings back those that die or hang, and stops all of them in order. Used by the background process of
// `npm start` and, in their own process, by tests.
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeJson } from './files.mjs';
import { end, identify, isAlive } from './pids.mjs';
import { isReady } from './ready.mjs';
import { Refusal } from './steps.mjs';
import { watchLife } from './watch.mjs';

const MAX_LOG_BYTES = 20 * 1024 * 1024;
const STEADY_MS = 10_000;
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 3_000;
const FALSE_STARTS = 3;

/** How long to wait before the n-th restart in a row (from 0): doubling, and never so long that 5 s would pass. */
export function restartDelay(n) {
  return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** n);
}

/**
 * A unit is `{name, kind: 'server' | 'process', program: {command, args, cwd, env, user?: {uid, gid}} | null, ready, alive?,
 * stop: {signal, ms}, describe}`; without a program it is somebody else's server and only known by its address. `alive` says how
 * to ask whether it hangs; without it that is not for us to judge.
 */
export class Supervisor {
  #units = new Map();
  #folder;
  #changed;
  #watch;
  #closing = false;

  /** `folder` gets `log/` and `pids.json`; `changed` is called whenever a pid came or went; `watch` may set the pace of `watchLife`. */
  constructor({ folder, changed = () => {}, watch = {} }) {
    this.#folder = folder;
    this.#changed = changed;
    this.#watch = watch;
    mkdirSync(join(folder, 'log'), { recursive: true });
  }

  /** Takes a unit in and starts it. */
  add(unit) {
    if (this.#closing) throw new Refusal('the system is stopping');
    const known = this.#units.get(unit.name);
    if (known?.identity) throw new Refusal(`${unit.name} runs already`);
    const entry = {
      unit,
      wanted: true,
      identity: null,
      child: null,
      restarts: 0,
      row: 0,
      spawnedAt: 0,
      timer: null,
      unwatch() {},
    };
    this.#units.set(unit.name, entry);
    this.#spawn(entry);
  }

  /** The names of the units, in the order in which they came. */
  names() {
    return [...this.#units.keys()];
  }

  /** What is known of every unit: `{name: {kind, pid, wanted, restarts, ready, describe}}`; pid null when it is down. */
  state() {
    const rows = [...this.#units].map(([name, entry]) => {
      const { kind, ready, describe } = entry.unit;
      const { wanted, restarts } = entry;
      return [
        name,
        { kind, pid: entry.identity?.pid ?? null, wanted, restarts, ready, describe, own: this.#own(entry) },
      ];
    });
    return Object.fromEntries(rows);
  }

  /** Starts a unit that was stopped; does nothing when it runs. */
  start(name) {
    if (this.#closing) throw new Refusal('the system is stopping');
    const entry = this.#entry(name);
    entry.wanted = true;
    entry.row = 0;
    if (!entry.identity) this.#spawn(entry);
  }

  /** Stops a unit, by its own signal and in the end by SIGKILL, and keeps it down until it is started again. */
  async stop(name) {
    const entry = this.#entry(name);
    if (!this.#own(entry)) throw new Refusal(`${name} was not started here (its URL came from the environment)`);
    entry.wanted = false;
    clearTimeout(entry.timer);
    entry.unwatch();
    const { identity, unit } = entry;
    if (identity) await end(identity, unit.stop.signal, unit.stop.ms);
    while (entry.identity === identity && identity) await sleep(5);
  }

  /** Kills a unit without warning, as a crash would; it comes back by itself. Returns the pid it had. */
  kill(name) {
    const { identity } = this.#entry(name);
    if (!identity) throw new Refusal(`${name} does not run`);
    process.kill(identity.pid, 'SIGKILL');
    return identity.pid;
  }

  /** The pid of a unit, null while it is down. */
  pid(name) {
    return this.#entry(name).identity?.pid ?? null;
  }

  /** Waits until a unit answers; a Refusal with the end of its log when it keeps dying or `ms` pass. */
  async ready(name, ms = 60_000) {
    const entry = this.#entry(name);
    const before = entry.restarts;
    const limit = Date.now() + ms;
    while (!(entry.identity || !this.#own(entry)) || !(await isReady(entry.unit.ready))) {
      if (!entry.wanted || this.#closing) throw new Refusal(`${name} was stopped while it was starting`);
      const dying = entry.restarts - before >= FALSE_STARTS;
      if (dying || Date.now() > limit) {
        const what = dying ? 'stops again and again' : `does not answer within ${Math.round(ms / 1000)} s`;
        throw new Refusal(`${name} ${what}. The end of ${this.#log(name)}:\n${this.#tail(name)}`);
      }
      await sleep(40);
    }
  }

  /** Stops everything: the gateway, the other processes at once, then the servers. */
  async close(progress = () => {}) {
    this.#closing = true;
    const entries = [...this.#units.values()].filter((entry) => this.#own(entry));
    for (const entry of entries) {
      entry.wanted = false;
      clearTimeout(entry.timer);
    }
    const waves = [
      entries.filter(({ unit }) => unit.name === 'gateway'),
      entries.filter(({ unit }) => unit.kind === 'process' && unit.name !== 'gateway'),
      entries.filter(({ unit }) => unit.kind === 'server'),
    ];
    for (const wave of waves) {
      const results = await Promise.allSettled(wave.map(({ unit }) => this.stop(unit.name)));
      const failed = results.find(({ status }) => status === 'rejected');
      if (failed) throw failed.reason;
      if (wave.length > 0) progress(wave.map(({ unit }) => unit.name));
    }
  }

  #entry(name) {
    const entry = this.#units.get(name);
    if (!entry) throw new Refusal(`there is no ${name}; there are: ${this.names().join(', ')}`);
    return entry;
  }

  #own(entry) {
    return Boolean(entry.unit.program);
  }

  #log(name) {
    return join(this.#folder, 'log', `${name}.log`);
  }

  #tail(name) {
    try {
      return readFileSync(this.#log(name), 'utf8').trimEnd().split('\n').slice(-15).join('\n');
    } catch {
      return '(no log)';
    }
  }

  #spawn(entry) {
    const { unit } = entry;
    if (!unit.program) return;
    // Whoever is started by hand needs not be brought back as well.
    clearTimeout(entry.timer);
    const { command, args, cwd, user } = unit.program;
    // By it a process can tell in its log when nobody watches over it any more.
    const env =
      unit.kind === 'process' ? { ...unit.program.env, SUPERVISOR_PID: String(process.pid) } : unit.program.env;
    const log = this.#log(unit.name);
    if ((statSync(log, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) renameSync(log, `${log}.1`);
    const out = openSync(log, 'a');
    // A group of its own: Ctrl-C in the terminal must reach the supervisor only, which knows the order.
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', out, out], detached: true, ...user });
    closeSync(out);
    entry.child = child;
    entry.spawnedAt = Date.now();
    entry.identity = child.pid ? identify(child.pid) : null;
    let over = false;
    const ended = () => {
      if (over) return;
      over = true;
      entry.unwatch();
      entry.identity = null;
      this.#note();
      if (!entry.wanted || this.#closing) return;
      entry.row = Date.now() - entry.spawnedAt > STEADY_MS ? 0 : entry.row + 1;
      entry.restarts += 1;
      entry.timer = setTimeout(() => entry.wanted && this.#spawn(entry), restartDelay(entry.row));
    };
    child.once('exit', ended);
    child.once('error', ended);
    if (unit.alive) entry.unwatch = watchLife(unit.alive, { ...this.#watch, hung: () => this.#endHung(entry) });
    this.#note();
  }

  /** What hangs does not heed a signal either: it is killed, and comes back as one that died. */
  #endHung({ unit, identity, wanted }) {
    if (!wanted || this.#closing || !isAlive(identity)) return;
    appendFileSync(this.#log(unit.name), `supervisor: ${unit.name} (${identity.pid}) hangs and is killed\n`);
    process.kill(identity.pid, 'SIGKILL');
  }

  #note() {
    const rows = [...this.#units.values()].filter((entry) => entry.identity);
    writeJson(
      join(this.#folder, 'pids.json'),
      rows.map(({ unit, identity }) => ({ name: unit.name, kind: unit.kind, stop: unit.stop, ...identity })),
    );
    this.#changed();
  }
}
