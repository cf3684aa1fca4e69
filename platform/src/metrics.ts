import nodeProcess from 'node:process';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The metrics of this process, in Prometheus' form. Labels hold names of methods, routes and events, never ids. */
export const registry = new Registry();

let collecting = false;

/** Adds what Node itself knows (memory, event-loop lag, garbage collection), how much memory it may take, and how long the main thread works in one go. Once a process, however often it is called. */
export function collectProcessMetrics(service: string, memoryLimitMib?: number): void {
  registry.setDefaultLabels({ service });
  if (collecting) return;
  collecting = true;
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: loopDelayMs });
  if (memoryLimitMib !== undefined)
    gauge('memory_limit_bytes', 'Resident memory that this process may take', []).set(memoryLimitMib * 1024 * 1024);
  measureStretches();
}

/** How often the delay of the event loop is looked at. Its default, 10 ms, wakes an idle process a hundred times a second. */
const loopDelayMs = 100;
const turnMs = 10;
/**
 * Between turns after one in which the thread rested two thirds of the time: waking up a hundred times a second is itself work, and there
 * are many processes on a machine. No longer, since what is done meanwhile adds to a stretch.
 */
const calmTurnMs = 30;

/** What Node has from 23.9 on. */
type ThreadCpuUsage = () => { readonly user: number; readonly system: number };

/**
 * Measures the processor time of the main thread between two turns of a timer: at least as long as any one synchronous stretch in
 * between, and no longer because the machine was busy with something else. Nothing where Node cannot tell.
 */
function measureStretches(): void {
  const usage = (nodeProcess as { readonly threadCpuUsage?: ThreadCpuUsage }).threadCpuUsage?.bind(nodeProcess);
  if (usage === undefined) return;
  const stretch = new Histogram({
    name: 'main_thread_stretch_seconds',
    help: 'Processor time of the main thread between two turns of a timer, 10 ms apart or 30 while it rests: no synchronous stretch was longer',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry],
  });
  let last = usage();
  let turnTook = turnMs;
  const turn = (): void => {
    const now = usage();
    const ms = (now.user - last.user + now.system - last.system) / 1e3;
    stretch.observe(ms / 1e3);
    last = now;
    turnTook = ms < turnTook / 3 ? calmTurnMs : turnMs;
    setTimeout(turn, turnTook).unref();
  };
  turn();
}

// Edges stand where the objectives do: 50, 100, 200 and 500 ms.
const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** A histogram of seconds. */
export function latency(name: string, help: string, labelNames: string[]): Histogram {
  return new Histogram({ name, help, labelNames, buckets: latencyBuckets, registers: [registry] });
}

export function counter(name: string, help: string, labelNames: string[]): Counter {
  return new Counter({ name, help, labelNames, registers: [registry] });
}

export function gauge(name: string, help: string, labelNames: string[]): Gauge {
  return new Gauge({ name, help, labelNames, registers: [registry] });
}
