import { AppError } from '@coursewright/platform/errors';

/** How much may be under way at once. */
export interface IntakeLimits {
  /** Requests that are worked on, of everybody. One whose body is still arriving is not among them. */
  readonly inFlight: number;
  /** Requests of one actor, whatever they wait for. */
  readonly perActor: number;
  /** Bytes of bodies of one actor, as announced: arriving, or held until their request is answered. */
  readonly actorBytes: number;
  /** Requests whose body is arriving, of everybody. */
  readonly arriving: number;
  /** Bytes of bodies of everybody. */
  readonly bytes: number;
}

/** What a gateway of 384 MiB can bear, where a body may be there twice for a moment; `inFlight` and `perActor` are settings. */
export const intakeLimits = { actorBytes: 16 * 2 ** 20, arriving: 1_024, bytes: 64 * 2 ** 20 } as const;

/** The place of one request among those under way. */
export interface Ticket {
  /** From here on the body is waited for. Throws resource_exhausted TOO_MANY_REQUESTS, unavailable OVERLOADED. */
  arriving(bytes: number): void;
  /** The body is here. Throws unavailable OVERLOADED. */
  arrived(): void;
  /** The request is answered; may be said twice. */
  leave(): void;
}

/** Counts what is under way, so that nobody can take the places of all others. */
export interface Intake {
  /** Throws resource_exhausted TOO_MANY_REQUESTS, unavailable OVERLOADED. */
  enter(actor: string): Ticket;
}

interface Share {
  requests: number;
  bytes: number;
}

/**
 * Requests wait for slow bodies in a pool of their own, and no actor has more than his share of anything. What is over a share is
 * refused at once with 429, what is over the whole with 503.
 */
export function createIntake(limits: IntakeLimits): Intake {
  const actors = new Map<string, Share>();
  const total = { working: 0, arriving: 0, bytes: 0 };
  const work = (): void => {
    if (total.working >= limits.inFlight) throw overloaded();
    total.working += 1;
  };
  return {
    enter(actor) {
      const share: Share = actors.get(actor) ?? { requests: 0, bytes: 0 };
      // First the share: who has too much is told so, however much there is of others.
      if (share.requests >= limits.perActor) throw tooMany();
      work();
      share.requests += 1;
      actors.set(actor, share);
      let place: 'working' | 'arriving' | 'gone' = 'working';
      let isHere = true;
      let held = 0;
      const yieldPlace = (): void => {
        if (place !== 'gone') total[place] -= 1;
        place = 'gone';
      };
      return {
        arriving(bytes) {
          if (share.bytes + bytes > limits.actorBytes) throw tooMany();
          if (total.arriving >= limits.arriving || total.bytes + bytes > limits.bytes) throw overloaded();
          yieldPlace();
          place = 'arriving';
          total.arriving += 1;
          held += bytes;
          total.bytes += bytes;
          share.bytes += bytes;
        },
        arrived() {
          yieldPlace();
          work();
          place = 'working';
        },
        leave() {
          if (!isHere) return;
          isHere = false;
          yieldPlace();
          total.bytes -= held;
          share.bytes -= held;
          share.requests -= 1;
          if (share.requests === 0) actors.delete(actor);
        },
      };
    },
  };
}

function overloaded(): AppError {
  return new AppError('unavailable', 'OVERLOADED', { retryAfterSeconds: 1 });
}

function tooMany(): AppError {
  const message = 'You have too much under way; wait for some of it to end';
  return new AppError('resource_exhausted', 'TOO_MANY_REQUESTS', { retryAfterSeconds: 1 }, { message });
}
