// How much memory each process may take, in MiB: one table for the processes here, the containers and the READMEs.

/** Resident memory of each process at most. In containers the limit is enforced; elsewhere it is watched by its metric. */
export const memoryLimits = { gateway: 384, catalog: 320, content: 512, versioning: 512, review: 256, deployment: 256 };

/** Of that, how much may be JavaScript's old heap: the rest is for buffers, code, stacks and threads. */
const HEAP_SHARE = 0.6;

/**
 * Half of the young heap, in MiB. Left alone, V8 lets it grow to 64 under load: so much of a small heap that every collection becomes one of
 * the whole heap (half of the processor time of review and deployment after 20 s of saves), and that the limit would be broken.
 */
const SEMI_SPACE = 16;

/** What Node is told of the memory of a process. */
export function memoryFlags(name) {
  const heap = Math.floor(memoryLimits[name] * HEAP_SHARE);
  return [`--max-old-space-size=${heap}`, `--max-semi-space-size=${SEMI_SPACE}`];
}
