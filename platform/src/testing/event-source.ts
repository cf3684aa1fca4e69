import { EventSourceServiceDefinition } from '@coursewright/proto/coursewright/common/v1/event_source';
import { AppError } from '../errors.js';
import type { Event } from '../event.js';
import { newId } from '../ids.js';
import { createTokenVerifier } from '../internal-token.js';
import { createLogger } from '../logger.js';
import { createRpcServer, serve, type Served } from '../rpc-server.js';
import { anyone } from './anyone.js';
import type { TestKeys } from './keys.js';

/** A peer whose events the test decides: it answers what consumers ask a source, and keeps everything in memory. */
export interface TestEventSource {
  readonly address: string;
  /** Makes the next event of a course, and its state follow when the source was given a fold. */
  emit(courseId: string, type: string, data: Readonly<Record<string, unknown>>): Event;
  /** Puts another event at a place that has been taken, as after a repair. */
  replace(courseId: string, seq: number, data: Readonly<Record<string, unknown>>): void;
  /** Sets the state of a course; undefined: the source does not know it any more. */
  setState(courseId: string, state: Readonly<Record<string, unknown>> | undefined): void;
  /** Forgets a course's events, as after their retention; its state and watermark stay. */
  forget(courseId: string): void;
  stop(): Promise<void>;
}

/** What the events of a course amount to, as the real source's state would tell it. */
export type Fold = (state: Readonly<Record<string, unknown>>, event: Event) => Readonly<Record<string, unknown>>;

/** Starts a peer on a port of its own; more services may be served beside its events. Without a fold it knows the states that it is told. */
export async function startEventSource(
  source: string,
  keys: TestKeys,
  more: { readonly services?: readonly Served[]; readonly fold?: Fold } = {},
): Promise<TestEventSource> {
  const { services = [], fold } = more;
  const events = new Map<string, Event[]>();
  const marks = new Map<string, number>();
  const states = new Map<string, Readonly<Record<string, unknown>> | undefined>();
  const epoch = newId();
  const served = serve(EventSourceServiceDefinition, anyone(EventSourceServiceDefinition), {
    async eventsSince({ courseId, afterSeq, limit }) {
      const watermark = marks.get(courseId) ?? 0;
      const kept = (events.get(courseId) ?? []).filter((event) => event.seq > afterSeq).slice(0, limit || 200);
      const expired = watermark > afterSeq && kept[0]?.seq !== afterSeq + 1;
      const stored = kept.map(({ at, data, ...event }) => ({ ...event, time: at, data: { ...data }, traceparent: '' }));
      return { events: expired ? [] : stored, expired, watermark };
    },
    async watermarks() {
      return { watermarks: [...marks].map(([courseId, seq]) => ({ courseId, seq })), next: '', epoch };
    },
    async getState({ courseId }) {
      const state = states.get(courseId);
      if (state === undefined) throw new AppError('not_found', 'COURSE_NOT_FOUND', { courseId });
      return { seq: marks.get(courseId) ?? 0, epoch, state };
    },
  });
  const server = createRpcServer({
    host: '127.0.0.1',
    port: 0,
    services: [served, ...services],
    verifier: createTokenVerifier(keys.public),
    logger: createLogger(source, 'silent'),
  });
  const port = await server.start();
  return {
    address: `127.0.0.1:${port}`,
    emit(courseId, type, data) {
      const seq = (marks.get(courseId) ?? 0) + 1;
      const event: Event = { id: newId(), source, type, courseId, seq, epoch, at: new Date(), data };
      events.set(courseId, [...(events.get(courseId) ?? []), event]);
      marks.set(courseId, seq);
      if (fold !== undefined) states.set(courseId, fold(states.get(courseId) ?? { courseId }, event));
      return event;
    },
    replace(courseId, seq, data) {
      const changed = (events.get(courseId) ?? []).map((event) => (event.seq === seq ? { ...event, data } : event));
      events.set(courseId, changed);
    },
    setState: (courseId, state) => void states.set(courseId, state),
    forget: (courseId) => void events.delete(courseId),
    stop: () => server.stop(100),
  };
}
