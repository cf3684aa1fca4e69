// How much memory each process may take, in MiB: one table for the processes here, the containers and the READMEs.

/** Resident memory of each process at most. In containers the limit is enforced; elsewhere it is watched by its metric. */
export const memoryLimits = { gateway: 384, catalog: 320, content: 512, versioning: 512, review: 256, deployment: 256 };

/** Of that, how much may be JavaScript's old heap: the rest is for buffers, code, stacks and threads. */
const HEAP_SHARE = 0.6;

/** The heap of a process in MiB, as Node's --max-old-space-size wants it. */
export function heapOf(name) {
  return Math.floor(memoryLimits[name] * HEAP_SHARE);
}
