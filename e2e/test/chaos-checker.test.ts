import { describe, expect, it } from '@jest/globals';
import { checkAnswers, type Answered } from '../chaos/answers.js';
import { checkBodies } from '../chaos/bodies.js';
import { checkCourse, type CourseHistory } from '../chaos/checker.js';
import type { Attempt, Log, Read, Write } from '../chaos/history.js';
import { compareTrees, replay, type ModelNode, type Tree } from '../chaos/model.js';
import { randomOf } from '../chaos/random.js';
import {
  checkAttempts,
  checkHolders,
  checkTrail,
  longestStaleness,
  rightAfter,
  type Mark,
  type TrailRow,
} from '../chaos/trail.js';

const attempt = (begin: number, end: number, status: number | null = 200): Attempt => ({
  begin,
  end,
  status,
  reason: '',
  retryAfter: null,
});

/** A save of lesson `l` that was acknowledged between two moments. */
function write(id: string, begin: number, end: number, fields: Partial<Write> = {}): Write {
  return {
    id,
    kind: 'save',
    course: 'c',
    branch: '',
    node: 'l',
    isKeyed: false,
    attempts: [attempt(begin, end)],
    outcome: 'acknowledged',
    commit: `commit of ${id}`,
    etag: `body of ${id}`,
    made: null,
    ...fields,
  };
}

/** A log whose commits have these messages, oldest first. */
function log(...messages: string[]): Log {
  const entries = messages.map((message, n) => ({
    hash: `commit of ${message}`,
    message,
    parents: n === 0 ? [] : [`commit of ${messages[n - 1]!}`],
  }));
  return { course: 'c', branch: '', entries };
}

function verdict(history: Partial<CourseHistory>): string[] {
  const whole = { writes: [], reads: [], logs: [], initial: new Map<string, string>(), ...history };
  return checkCourse(whole).map(({ kind, what }) => `${kind}: ${what}`);
}

const two = [write('a', 0, 10), write('b', 20, 30, { ifMatch: 'body of a' })];
const read = (saved: string, begin: number): Read => ({
  course: 'c',
  branch: '',
  node: 'l',
  begin,
  end: begin + 1,
  saved,
});

describe('the checker of histories', () => {
  it('finds nothing wrong with writes that stand in the log once, in their order', () => {
    const reads = [read('', 1), read('a', 11), read('b', 25), read('b', 40)];
    expect(verdict({ writes: two, reads, logs: [log('Create', 'a', 'b')] })).toEqual([]);
  });

  it('finds an acknowledged write that is in no log', () => {
    expect(verdict({ writes: two, logs: [log('Create', 'b')] })).toEqual([
      'lost: save a in c: acknowledged as commit of a, in no log',
    ]);
    expect(verdict({ writes: [write('a', 0, 10, { branch: 'x' })], logs: [log('Create', 'a')] })).toEqual([
      'lost: save a in c on x: acknowledged as commit of a, in no log',
    ]);
  });

  it('finds a write that was done twice, also one whose answer never came', () => {
    const twice = log('Create', 'a', 'b');

    const again = { hash: 'other', message: 'a', parents: ['commit of b'] };
    const logs = [{ ...twice, entries: [...twice.entries, again] }];
    expect(verdict({ writes: two, logs })).toContain('doubled: save a in c: 2 commits');
    const unknown = write('a', 0, 10, {
      outcome: 'unknown',
      commit: null,
      etag: null,
      attempts: [attempt(0, 10, null)],
    });
    expect(verdict({ writes: [unknown], logs })).toContain('doubled: save a in c: 2 commits');
  });

  it('lets a write whose answer never came be there or not', () => {
    const unknown = write('a', 0, 10, {
      outcome: 'unknown',
      commit: null,
      etag: null,
      attempts: [attempt(0, 10, null)],
    });
    expect(verdict({ writes: [unknown], logs: [log('Create')] })).toEqual([]);
    expect(verdict({ writes: [unknown], logs: [log('Create', 'a')] })).toEqual([]);
  });

  it('finds a write that was refused and done', () => {
    const refused = write('a', 0, 10, {
      outcome: 'refused',
      commit: null,
      etag: null,
      attempts: [attempt(0, 10, 412)],
    });
    expect(verdict({ writes: [refused], logs: [log('Create', 'a')] })).toEqual([
      'resurrected: save a in c: refused, and there',
    ]);
  });

  it('finds an answer that names another commit than that of the write', () => {
    const wrong = write('a', 0, 10, { commit: 'commit of b' });
    expect(verdict({ writes: [wrong], logs: [log('Create', 'a')] })).toEqual([
      'wrong: save a in c: acknowledged as commit of b, is commit of a',
    ]);
  });

  it('finds writes that stand in another order than that in which they happened', () => {
    const writes = [write('a', 0, 10, { node: 'k' }), write('b', 20, 30)];
    expect(verdict({ writes, logs: [log('Create', 'b', 'a')] })).toEqual([
      'reordered: a ended 10 ms before b began, and stands after it in c ',
    ]);
    expect(
      verdict({ writes: [write('a', 0, 25, { node: 'k' }), writes[1]!], logs: [log('Create', 'b', 'a')] }),
    ).toEqual([]);
  });

  it('counts a write from its first attempt to the one that was answered', () => {
    const keyed = write('a', 0, 0, { node: 'k', isKeyed: true, attempts: [attempt(0, 5, null), attempt(50, 60)] });
    expect(verdict({ writes: [keyed, write('b', 20, 30)], logs: [log('Create', 'b', 'a')] })).toEqual([]);
  });

  it('finds a save that was written over by one that had not seen it', () => {
    const writes = [write('a', 0, 10, { ifMatch: 'first' }), write('b', 5, 30, { ifMatch: 'first' })];
    const initial = new Map([['body l', 'first']]);
    expect(verdict({ writes, initial, logs: [log('Create', 'a', 'b')] })).toEqual([
      'overwritten: save b of l was made on first, and followed body of a',
    ]);
  });

  it('finds a history that is no line', () => {
    const line = log('Create', 'a', 'b');
    const fork = { hash: 'commit of b', message: 'b', parents: ['commit of Create'] };
    const merge = { hash: 'commit of b', message: 'b', parents: ['commit of a', 'commit of x'] };
    for (const last of [fork, merge])
      expect(verdict({ writes: two, logs: [{ ...line, entries: [...line.entries.slice(0, 2), last] }] })).toEqual([
        'forked: c : commit of b (b) does not follow commit of a',
      ]);
  });

  it('finds a read that misses what was acknowledged before it, and one that shows what never was', () => {
    const logs = [log('Create', 'a', 'b')];
    expect(verdict({ writes: two, reads: [read('a', 40)], logs })).toEqual([
      'stale: l in c : read as of a, 10 ms after b was acknowledged',
    ]);
    expect(verdict({ writes: two, reads: [read('', 11)], logs })).toEqual([
      'stale: l in c : read as of the beginning, 1 ms after a was acknowledged',
    ]);
    expect(verdict({ writes: two, reads: [read('z', 11)], logs })).toEqual([
      'lost: l in c : z was read, and is in no log',
    ]);
  });

  it('finds a read that goes back behind what was read before, also when nobody was told of that', () => {
    const unknown = write('b', 20, 30, { outcome: 'unknown', commit: null, etag: null });
    const history = { writes: [two[0]!, unknown], logs: [log('Create', 'a', 'b')] };
    expect(verdict({ ...history, reads: [read('a', 25), read('b', 40)] })).toEqual([]);
    expect(verdict({ ...history, reads: [read('b', 40), read('a', 50)] })).toEqual([
      'stale: l in c : read as of a, after b was read',
    ]);
  });

  it('finds a write that was refused although the state that it named was the present one', () => {
    const refused = (ifMatch: string, end: number): Write =>
      write('r', end - 5, end, { ifMatch, outcome: 'refused', commit: null, attempts: [attempt(end - 5, end, 412)] });
    const logs = [log('Create', 'a', 'b')];
    const initial = new Map([['body l', 'first']]);
    for (const rightly of [
      refused('first', 40),
      refused('body of a', 40),
      refused('body of a', 21),
      refused('who knows', 40),
    ])
      expect(verdict({ writes: [...two, rightly], initial, logs })).toEqual([]);
    const wrongly = 'was refused for naming';
    expect(verdict({ writes: [...two, refused('body of b', 40)], initial, logs })).toEqual([
      `stale: save r of l in c  ${wrongly} body of b, which nothing had followed`,
    ]);
    expect(verdict({ writes: [...two, refused('body of a', 15)], initial, logs })).toEqual([
      `stale: save r of l in c  ${wrongly} body of a, which nothing had followed`,
    ]);
  });
});

describe('the model of a course', () => {
  const node = (id: string, kind: string, parent: string | null, children: string[] = []): ModelNode => ({
    id,
    kind,
    title: id,
    parent,
    children,
    saved: '',
  });
  const initial: Tree = new Map(
    [
      node('c', 'course', null, ['m', 'n']),
      node('m', 'module', 'c', ['l']),
      node('n', 'module', 'c'),
      node('l', 'lesson', 'm'),
    ].map((one) => [one.id, one]),
  );
  const writes = new Map(
    [
      write('a', 0, 1),
      write('b', 2, 3, { kind: 'rename' }),
      write('d', 4, 5, { kind: 'add', node: 'n', made: 'new' }),
      write('e', 6, 7, { kind: 'move', parent: 'n' }),
    ].map((one) => [one.id, one]),
  );
  const after = replay(initial, log('Create', 'a', 'b', 'd', 'e'), writes);

  it('says where everything is after the writes of a log', () => {
    expect(after.get('l')).toMatchObject({ title: 'b', saved: 'a', parent: 'n' });
    expect(after.get('m')!.children).toEqual([]);
    expect(after.get('n')!.children).toEqual(['new', 'l']);
  });

  it('finds a node, a title, a document and an order that are not as they should be', () => {
    const differing = (change: (tree: Map<string, ModelNode>) => void): string[] => {
      const actual = new Map(after);
      change(actual);
      return compareTrees('c', after, actual).map(({ kind, what }) => `${kind}: ${what}`);
    };
    expect(differing(() => undefined)).toEqual([]);
    expect(differing((tree) => tree.delete('new'))).toEqual(['lost: c: lesson new (d) is not in the tree']);
    expect(differing((tree) => tree.set('z', node('z', 'lesson', 'n')))).toEqual([
      'doubled: c: z is in the tree, and nobody added it',
    ]);
    expect(differing((tree) => tree.set('l', { ...tree.get('l')!, saved: '' }))).toEqual([
      'wrong: c: saved of l is , should be a',
    ]);
    expect(differing((tree) => tree.set('n', { ...tree.get('n')!, children: ['l', 'new'] }))).toEqual([
      'wrong: c: children of n are l new, should be new l',
    ]);
  });

  it('knows a node whose answer was lost by its title', () => {
    const lost = new Map([['d', write('d', 4, 5, { kind: 'add', node: 'n', outcome: 'unknown', made: null })]]);
    const tree = replay(initial, log('Create', 'd'), lost, (title) => (title === 'd' ? 'found' : undefined));
    expect(tree.get('n')!.children).toEqual(['found']);
  });
});

describe('the checker of bodies', () => {
  const body = (hash: string, saved: string, isSound = true) => ({ hash, saved, isSound });
  const kinds = (bodies: ReturnType<typeof body>[]): string[] => checkBodies('c', bodies, two).map(({ kind }) => kind);
  const good = [body('body of a', 'a'), body('body of b', 'b')];

  it('finds a body that is missing, another one, one that is there twice and one that is damaged', () => {
    expect(kinds(good)).toEqual([]);
    expect(kinds([good[0]!])).toEqual(['lost']);
    expect(kinds([good[0]!, body('body of b', 'x')])).toEqual(['wrong']);
    expect(kinds([...good, body('another', 'a')])).toEqual(['doubled']);
    expect(kinds([good[0]!, body('body of b', 'b', false)])).toEqual(['wrong']);
  });
});

describe('the checker of answers', () => {
  const odd = (at: number, end: number, what = 'no answer (ECONNRESET)') => ({ at, end, request: 'GET /x', what });
  const verdictOn = (answered: Partial<Answered>): string[] =>
    checkAnswers({
      ...{ clients: [], writes: [], writers: [], injectedAt: 100, readyAt: 200, wellAt: 220, mayBeSilent: false },
      ...answered,
    }).map(({ kind, what }) => `${kind}: ${what}`);

  it('lets silence pass while the gateway is the victim, and at no other time', () => {
    const clients = [{ odd: [odd(90, 110), odd(150, 160, '200 too late')], putOffs: [] }];
    expect(verdictOn({ clients, mayBeSilent: true })).toEqual([]);
    expect(verdictOn({ clients })).toEqual(['answer: 1 × no answer (ECONNRESET)', 'answer: 1 × 200 too late']);
    for (const at of [50, 250])
      expect(verdictOn({ clients: [{ odd: [odd(at, at + 5)], putOffs: [] }], mayBeSilent: true })).toHaveLength(1);
    expect(verdictOn({ clients: [{ odd: [odd(150, 160, '500 INTERNAL')], putOffs: [] }], mayBeSilent: true })).toEqual([
      'answer: 1 × 500 INTERNAL',
    ]);
  });

  it('demands that everybody is served and works again when all is well', () => {
    const served = { clients: [{ odd: [], putOffs: [150, 210] }], writers: ['w1'] };
    expect(verdictOn({ ...served, writes: [write('w1-7', 230, 240)] })).toEqual([]);
    expect(verdictOn({ ...served, clients: [{ odd: [], putOffs: [230] }], writes: [write('w1-7', 230, 240)] })).toEqual(
      ['answer: 1 × 503 when all was well again'],
    );
    for (const writes of [[], [write('w1-7', 150, 240)], [write('w10-7', 230, 240)]])
      expect(verdictOn({ ...served, writes })).toEqual(['answer: w1 got nothing done when all was well again']);
    expect(verdictOn({ ...served, wellAt: undefined })).toEqual([]);
  });

  it('finds a write with a key that was never answered for good', () => {
    const attempts = [attempt(0, 10, null), { ...attempt(20, 30, 409), reason: 'IN_PROGRESS' }];
    const open = write('w1-1', 0, 0, { isKeyed: true, outcome: 'unknown', attempts });
    expect(verdictOn({ writes: [open] })).toEqual([
      'answer: save w1-1 was sent 2 times, in the end with 409 IN_PROGRESS',
    ]);
    expect(verdictOn({ writes: [{ ...open, isKeyed: false }] })).toEqual([]);
  });
});

describe('the checker of effects', () => {
  const inbox = (value: number, line = 'versioning one'): TrailRow => ({
    consumer: 'catalog',
    table: 'inbox',
    course: 'c',
    value: String(value),
    line,
    who: 'catalog',
  });
  const card = (value: string): TrailRow => ({ ...inbox(0), table: 'course_card', value, line: 'draft' });
  const kinds = (rows: TrailRow[]): string[] => checkTrail(rows, [log('Create', 'a', 'b')]).map(({ kind }) => kind);

  it('finds an event that took effect again, or after a later one', () => {
    expect(kinds([inbox(0), inbox(1), inbox(4)])).toEqual([]);
    expect(kinds([inbox(1), inbox(1)])).toEqual(['doubled']);
    expect(kinds([inbox(1), inbox(3), inbox(2)])).toEqual(['reordered']);
    expect(kinds([inbox(3), inbox(1, 'versioning two')])).toEqual([]);
  });

  it('finds a projection that went back, or shows what is in no log', () => {
    expect(kinds([card('commit of a'), card('commit of a'), card('commit of b')])).toEqual([]);
    expect(kinds([card('commit of b'), card('commit of a')])).toEqual(['reordered']);
    expect(kinds([card('commit of z')])).toEqual(['wrong']);
  });

  it('finds a course whose events two processes take at the same time, and lets one hand it over to the other', () => {
    const taken = (whos: string[]): string[] =>
      checkHolders(whos.map((who, n) => ({ ...inbox(n + 1), who }))).map(({ kind, what }) => `${kind}: ${what}`);
    expect(taken(['one', 'one', 'two', 'two', 'one', 'one'])).toEqual([]);
    const turns = ['one', 'two', 'one', 'two', 'one', 'two', 'one', 'two'];
    expect(checkHolders(turns.map((who, n) => ({ ...inbox(n + 1, `${who}'s source`), who })))).toEqual([]);
    expect(taken(['one', 'two', 'one', 'two', 'one', 'two', 'one', 'two'])).toEqual([
      'shared: inbox of catalog, course c, versioning one: passed from one process to another 7 times',
    ]);
  });

  it('finds an attempt at an import that goes on after another one has followed it', () => {
    const written = (rows: [token: number, who: string][]): string[] =>
      checkAttempts(
        rows.map(([token, who]) => ({ ...inbox(token, 'i'), consumer: 'content', table: 'import', who })),
      ).map(({ kind, what }) => `${kind}: ${what}`);
    expect(
      written([
        [1, 'one'],
        [1, 'one'],
        [2, 'two'],
        [2, 'two'],
        [3, 'one'],
      ]),
    ).toEqual([]);
    expect(
      written([
        [1, 'one'],
        [2, 'two'],
        [2, 'one'],
        [2, 'one'],
      ]),
    ).toEqual(['shared: import i, attempt 2: claimed by two, and one wrote']);
  });

  const mark = (at: number, who: string, seq: number): Mark => ({ at, who, course: 'c', seq });

  it('says how long an event waited for its effect at the slowest consumer', () => {
    const marks = [
      mark(0, 'versioning', 1),
      mark(1, 'catalog', 1),
      mark(1, 'review', 1),
      mark(100, 'versioning', 2),
      mark(101, 'catalog', 2),
      mark(101, 'review', 1),
      mark(900, 'review', 2),
    ];
    expect(longestStaleness(marks)).toEqual({ ms: 800, who: 'review' });
  });

  it('says when events stopped waiting for their effects, and that they never did', () => {
    const marks = [
      mark(0, 'versioning', 5),
      mark(1_500, 'catalog', 4),
      mark(2_000, 'catalog', 5),
      mark(2_100, 'versioning', 6),
      mark(2_200, 'catalog', 6),
      mark(4_000, 'catalog', 6),
    ];
    expect(rightAfter(marks, 500)).toBe(1_500);
    expect(rightAfter(marks, 2_050)).toBe(0);
    expect(rightAfter(marks.slice(0, 2), 500)).toBeNull();
  });
});

describe('the numbers of a seed', () => {
  it('are the same each time, and others for another seed or name', () => {
    const first = (seed: number, name: string): number[] => {
      const random = randomOf(seed, name);
      return [random.below(1000), random.below(1000), random.below(1000)];
    };
    expect(first(1, 'w0')).toEqual(first(1, 'w0'));
    expect(first(1, 'w0')).not.toEqual(first(1, 'w1'));
    expect(first(1, 'w0')).not.toEqual(first(2, 'w0'));
  });
});
