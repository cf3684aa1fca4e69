import { describe, expect, it } from '@jest/globals';
import { createIntake } from '../src/http/intake.js';
import { fingerprintOf } from '../src/http/idempotency.js';
import { maxJsonValues } from '../src/http/json-bounds.js';
import { joinJson } from '../src/http/join-json.js';
import { maxJsonBytes, valueOf } from '../src/http/read-input.js';
import { createRoutes } from '../src/routes/table.js';

const routes = createRoutes('http://gateway.test');

/** Processor milliseconds of the fastest of three runs: what the work itself takes, not what the machine was busy with. */
function costOf(work: () => void): number {
  const runs = [1, 2, 3].map(() => {
    const began = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1_000;
  });
  return Math.min(...runs);
}

const fill = (open: string, piece: string, close: string): Buffer =>
  Buffer.from(
    open + piece.repeat(Math.floor((maxJsonBytes - open.length - close.length) / Buffer.byteLength(piece))) + close,
  );

const most = maxJsonValues - 10;
const bodies: [string, Buffer][] = [
  ['brackets', fill('', '[', '')],
  ['pairs of brackets', fill('[', '[],', '0]')],
  ['numbers', fill('{"title":"T","tags":[', '1,', '1]}')],
  ['fields of one character', fill('{"title":"T","fields":{', '"a":1,', '"b":1}}')],
  [
    'different fields',
    Buffer.from(
      JSON.stringify({
        title: 'T',
        fields: Object.fromEntries(Array.from({ length: most }, (_, n) => [`f${n}`, 'x'.repeat(60)])),
      }),
    ),
  ],
  [
    'unknown fields',
    Buffer.from(JSON.stringify(Object.fromEntries(Array.from({ length: most }, (_, n) => [`f${n}`, n])))),
  ],
  ['one long text', fill('{"title":"', 'x', '"}')],
  ['escapes', fill('{"title":"', '\\u0041', '"}')],
  ['backslashes', fill('{"title":"', '\\\\', '"}')],
  ['combining marks', fill('{"title":"a', '\u0301\u0316', '"}')],
  ['line ends', fill('{"title":"', '\\r\\n', '"}')],
];

describe('the largest body that may be sent', () => {
  const taking = routes.filter(({ body }) => body?.kind === 'json');
  it.each(bodies)('of %s is judged without holding anybody up, on every route', (_of, bytes) => {
    expect(bytes.length).toBeLessThanOrEqual(maxJsonBytes);
    expect(taking.length).toBeGreaterThan(5);
    for (const route of taking) {
      const judge = (): void => {
        try {
          valueOf(route, bytes);
        } catch (error) {
          expect(error).toMatchObject({ kind: 'invalid_argument' });
        }
      };
      expect([route.path, costOf(judge) < 50]).toEqual([route.path, true]);
    }
  });

  it('is hashed within the same time, a document of 1 MiB and one of 4 MiB alike', () => {
    for (const size of [2 ** 20, 2 ** 22])
      expect(costOf(() => fingerprintOf('PUT', '/api/x', Buffer.alloc(size, 120)))).toBeLessThan(50);
  });
});

describe('a large answer', () => {
  it('is written piece by piece, and lets others have their turn in between', async () => {
    let turns = 0;
    const count = setInterval(() => (turns += 1), 1);
    const items = Array.from({ length: 40 }, (_, n) => n);
    const json = await joinJson(items, (n) => {
      const until = performance.now() + 5;
      while (performance.now() < until);
      return String(n);
    });
    clearInterval(count);
    expect(JSON.parse(json)).toEqual(items);
    expect(turns).toBeGreaterThan(10);
    expect(await joinJson([], String)).toBe('[]');
  });
});

describe('what is under way', () => {
  const limits = { inFlight: 4, perActor: 2, actorBytes: 100, arriving: 3, bytes: 150 };

  it('is bounded for all together and for each, and free again as soon as something ends', () => {
    const intake = createIntake(limits);
    const tickets = ['a', 'a', 'b', 'b'].map((actor) => intake.enter(actor));
    expect(() => intake.enter('a')).toThrow(expect.objectContaining({ reason: 'TOO_MANY_REQUESTS' }));
    expect(() => intake.enter('c')).toThrow(expect.objectContaining({ reason: 'OVERLOADED' }));
    tickets[0]!.leave();
    tickets[0]!.leave();
    intake.enter('c').leave();
    intake.enter('a');
    expect(() => intake.enter('a')).toThrow(expect.objectContaining({ reason: 'TOO_MANY_REQUESTS' }));
  });

  it('has room for others while bodies arrive, and counts their bytes until the answer', () => {
    const intake = createIntake(limits);
    const [one, two, three] = ['a', 'b', 'c'].map((actor) => intake.enter(actor));
    one!.arriving(90);
    two!.arriving(60);
    expect(() => three!.arriving(1)).toThrow(expect.objectContaining({ reason: 'OVERLOADED' }));
    for (const actor of ['d', 'e', 'f']) intake.enter(actor);
    expect(() => one!.arrived()).toThrow(expect.objectContaining({ reason: 'OVERLOADED' }));
    expect(() => intake.enter('a').arriving(11)).toThrow(expect.objectContaining({ reason: 'OVERLOADED' }));
    one!.leave();
    three!.arriving(1);
  });

  it('leaves nothing behind, whatever order it comes and goes in', () => {
    const intake = createIntake(limits);
    for (let round = 0; round < 50; round++) {
      const tickets = ['a', 'b', 'c', 'd'].map((actor) => intake.enter(actor));
      for (const ticket of tickets.slice(0, 3)) ticket.arriving(50);
      tickets[1]!.arrived();
      for (const ticket of round % 2 === 0 ? tickets : tickets.reverse()) ticket.leave();
    }
    expect(['a', 'b', 'c', 'd'].map((actor) => typeof intake.enter(actor))).toEqual(Array(4).fill('object'));
  });
});
