import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The metrics of this process, in Prometheus' form. Labels hold names of methods, routes and events, never ids. */
export const registry = new Registry();

let collecting = false;

/** Adds what Node itself knows: memory, event-loop lag, garbage collection. Once a process, however often it is called. */
export function collectProcessMetrics(service: string): void {
  registry.setDefaultLabels({ service });
  if (collecting) return;
  collecting = true;
  collectDefaultMetrics({ register: registry });
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
