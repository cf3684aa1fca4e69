import { createPace } from '@coursewright/platform/pace';
import type { Workers } from '@coursewright/platform/workers';
import {
  checkSent,
  diffPairs,
  normalizeBody,
  projectBody,
  type BodyDiff,
  type CheckInput,
  type DiffInput,
  type NormalizeInput,
  type PackedBody,
  type ProjectInput,
  type Rendering,
  type RenderInput,
} from '../domain/body-tasks.js';

/** What is done with documents, on the main thread where they are small, else in a thread that can be ended. */
export interface BodyWork {
  /** Throws as `normalizeBody` does; unprocessable WORK_TOO_COSTLY, unavailable OVERLOADED, as all of these. */
  normalize(input: NormalizeInput): Promise<PackedBody>;
  check(input: CheckInput): Promise<PackedBody[]>;
  project(input: ProjectInput): Promise<Uint8Array>;
  render(input: RenderInput, deadlineMs: number): Promise<Rendering>;
  diff(input: DiffInput): Promise<BodyDiff[]>;
}

/**
 * Documents up to here are worked on where they are: the worst of this size take 20 ms, ordinary ones less than the way to a
 * thread. Comparing costs up to the square of what is compared, so much less of it stays here; rendering is always done in a thread.
 */
const SMALL_BYTES = 32 * 1024;
const SMALL_DIFF_BYTES = 8 * 1024;

const DEADLINE_MS = 5_000;
const DIFF_DEADLINE_MS = 3_000;
/** What goes to a thread in one message. */
const CHECK_BYTES = 2 * 1024 * 1024;

/** The work on documents, with these threads for what is large. */
export function createBodyWork(workers: Workers): BodyWork {
  const inThread = <R>(task: string, input: object, deadlineMs = DEADLINE_MS): Promise<R> =>
    workers.run<R>(task, input, { deadlineMs });
  return {
    async normalize(input) {
      if (input.sent.length + (input.present?.length ?? 0) <= SMALL_BYTES) return normalizeBody(input);
      return inThread('normalizeBody', { ...input, sent: owned(input.sent) });
    },

    async check({ bodies }) {
      const packed: PackedBody[] = [];
      const pace = createPace();
      let large: { hash: string; bytes: Uint8Array }[] = [];
      let bytes = 0;
      const checkLarge = async (): Promise<void> => {
        if (large.length > 0) packed.push(...(await inThread<PackedBody[]>('checkSent', { bodies: large })));
        large = [];
        bytes = 0;
      };
      for (const body of bodies) {
        if (body.bytes.length <= SMALL_BYTES) packed.push(...checkSent({ bodies: [body] }));
        else {
          large.push({ hash: body.hash, bytes: owned(body.bytes) });
          bytes += body.bytes.length;
        }
        if (bytes >= CHECK_BYTES) await checkLarge();
        await pace();
      }
      await checkLarge();
      return packed;
    },

    async project(input) {
      return input.bytes.length <= SMALL_BYTES ? projectBody(input) : inThread('projectBody', input);
    },

    render: (input, deadlineMs) => inThread('renderBody', input, deadlineMs),

    async diff(input) {
      const bytes = input.pairs.reduce((sum, { from, to }) => sum + (from?.length ?? 0) + (to?.length ?? 0), 0);
      const json =
        bytes <= SMALL_DIFF_BYTES ? diffPairs(input) : await inThread<string>('diffPairs', input, DIFF_DEADLINE_MS);
      return JSON.parse(json) as BodyDiff[];
    },
  };
}

/** Bytes in memory of their own: a piece of a message would be copied between threads with the whole message. */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
