import type { PackedBody } from '../domain/body-tasks.js';
import type { Bodies } from './ports.js';

/** Making documents ready for the driver holds the main thread: a quarter of what a call could carry. */
const BODY_BYTES_A_CALL = 1024 * 1024;

/** Bodies on their way to the store, many at once, one call after the other. */
export class BodyQueue {
  private waiting: PackedBody[] = [];
  private bytes = 0;
  private storing: Promise<void> = Promise.resolve();

  constructor(
    private readonly bodies: Bodies,
    private readonly courseId: string,
    private readonly most: number,
  ) {}

  async put(body: PackedBody): Promise<void> {
    this.waiting.push(body);
    this.bytes += body.bytes.length;
    if (this.waiting.length >= this.most || this.bytes >= BODY_BYTES_A_CALL) await this.send();
  }

  /** Answers when all are durable. */
  async drain(): Promise<void> {
    await this.send();
    await this.storing;
  }

  private async send(): Promise<void> {
    await this.storing;
    if (this.waiting.length === 0) return;
    this.storing = this.bodies.putMany(this.courseId, this.waiting);
    // A failure is met where the promise is awaited next; until then it must not count as unhandled.
    this.storing.catch(() => undefined);
    this.waiting = [];
    this.bytes = 0;
  }
}
