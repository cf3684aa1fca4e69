// node --conditions=source --import tsx bench/src/course-search.ts — ways to find words that are written without blanks, over 100,000
// courses: size, cost of writing, time of searches, what is found of known titles (ADR 0027).
// BENCH_POSTGRES_URL names a PostgreSQL server to use; without it a system of its own is started.
import { fold } from '@coursewright/catalog/domain/fold';
import { piecesOf } from '@coursewright/catalog/domain/words';
import { searchQuery } from '@coursewright/catalog/domain/search-query';
import { searchVector } from '@coursewright/catalog/domain/search-vector';
import pg from 'pg';
import { startBenchSystem } from './bench-system.js';
import { quantile, report, row, type Row } from './report.js';
import { knownTitles, madeCourses, type MadeCourse } from './search-corpus.js';

const courses = Number(process.env['BENCH_COURSES'] || 100_000);
const samples = 60;
const batch = 500;

/** One way to search: what is stored of a course, how it is indexed, what is asked. */
interface Way {
  readonly name: string;
  readonly type: 'tsvector' | 'text';
  readonly index: string;
  /** What a card keeps, as a parameter of `stored`. */
  readonly keep: (course: MadeCourse) => string;
  readonly stored: string;
  /** What a search asks, as a parameter of `condition`. */
  readonly ask: (query: string) => string;
  readonly condition: string;
}

const folded = ({ title, description }: MadeCourse): string => `${fold(title)} ${fold(description)}`;
const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' });
const segmented = (text: string): string =>
  [...segmenter.segment(text)].flatMap(({ segment, isWordLike }) => (isWordLike ? [segment] : [])).join(' ');
/** Each character of a stretch by itself. */
const single = (text: string): string =>
  piecesOf(text)
    .flatMap(({ units }) => units)
    .join(' ');
const escaped = (text: string): string => text.replace(/[\\%_]/g, '\\$&');
const tsquery = (config: string): string => `text @@ ${config}`;

const ways: readonly Way[] = [
  {
    name: 'words by blanks (before)',
    type: 'tsvector',
    index: 'gin (text)',
    keep: folded,
    stored: `to_tsvector('simple', $2)`,
    ask: fold,
    condition: tsquery(`websearch_to_tsquery('simple', $1)`),
  },
  {
    name: 'pairs of neighbours',
    type: 'tsvector',
    index: 'gin (text)',
    keep: ({ title, description }) => searchVector({ title: fold(title), labels: [], description: fold(description) }),
    stored: '$2::tsvector',
    ask: searchQuery,
    condition: tsquery('$1::tsquery'),
  },
  {
    name: 'single characters in a phrase',
    type: 'tsvector',
    index: 'gin (text)',
    keep: (course) => single(folded(course)),
    stored: `to_tsvector('simple', $2)`,
    ask: (query) => single(fold(query)),
    condition: tsquery(`phraseto_tsquery('simple', $1)`),
  },
  {
    name: 'words by Intl.Segmenter',
    type: 'tsvector',
    index: 'gin (text)',
    keep: (course) => segmented(folded(course)),
    stored: `to_tsvector('simple', $2)`,
    ask: (query) => segmented(fold(query)),
    condition: tsquery(`phraseto_tsquery('simple', $1)`),
  },
  {
    name: 'pg_trgm',
    type: 'text',
    index: 'gin (text gin_trgm_ops)',
    keep: folded,
    stored: '$2',
    ask: (query) => `%${escaped(fold(query))}%`,
    condition: 'text LIKE $1',
  },
];

/** Words of the made courses by how often they occur; each as long as it says. */
const asked: readonly (readonly [string, string[]])[] = [
  ['1 character, common', []],
  ['2 characters, common', []],
  ['2 characters, rare', []],
  ['4 characters, rare', []],
  ['a Latin word, common', []],
  ['a Latin word, rare', []],
];

function chooseQueries(made: readonly MadeCourse[]): void {
  const [one, two, rare, four, latin, rareLatin] = asked.map(([, queries]) => queries);
  const counts = (parts: (text: string) => string[]): [string, number][] => {
    const seen = new Map<string, number>();
    for (const { title } of made) for (const part of new Set(parts(title))) seen.set(part, (seen.get(part) ?? 0) + 1);
    return [...seen].sort((a, b) => b[1] - a[1]);
  };
  const han = (size: number) => (text: string) =>
    [...text].flatMap((_, n, all) => {
      const part = all.slice(n, n + size).join('');
      return part.length === size && /^\p{sc=Han}+$/u.test(part) ? [part] : [];
    });
  const words = (text: string): string[] => text.match(/[a-z]{3,}/g) ?? [];
  const [ones, twos, fours, latins] = [han(1), han(2), han(4), words].map(counts);
  const pick = (from: [string, number][], start: number): string[] =>
    from.slice(start, start + samples).map(([part]) => part);
  const once = (from: [string, number][]): number => from.findIndex(([, count]) => count <= 2);
  one!.push(...pick(ones!, 0));
  two!.push(...pick(twos!, 0));
  rare!.push(...pick(twos!, once(twos!)));
  four!.push(...pick(fours!, once(fours!)));
  latin!.push(...pick(latins!, 0));
  rareLatin!.push(...pick(latins!, once(latins!)));
}

async function measure(client: pg.Client, way: Way, made: readonly MadeCourse[]): Promise<Row[]> {
  const line = (metric: string, value: number, unit: string): Row =>
    row('B4', `${way.name}: ${metric}`, value, { unit });
  await client.query(`DROP TABLE IF EXISTS t`);
  await client.query(`CREATE TABLE t (id int PRIMARY KEY, text ${way.type} NOT NULL)`);
  await client.query(`CREATE INDEX t_text ON t USING ${way.index}`);
  await client.query('CHECKPOINT');
  const started = performance.now();
  let own = 0;
  for (let from = 0; from < made.length; from += batch) {
    const before = performance.now();
    const kept = made.slice(from, from + batch).map(way.keep);
    own += performance.now() - before;
    const sql = `INSERT INTO t SELECT $1::int + n, ${way.stored.replaceAll('$2', 'kept')} FROM unnest($2::text[]) WITH ORDINALITY AS k (kept, n)`;
    await client.query(sql, [from, kept]);
  }
  await client.query('VACUUM ANALYZE t');
  const spent = performance.now() - started;
  const { rows } = await client.query<{ index: string; whole: string }>(
    `SELECT pg_relation_size('t_text') AS index, pg_total_relation_size('t') AS whole`,
  );
  const out = [
    line('index', Number(rows[0]!.index) / 2 ** 20, 'MiB'),
    line('table and index', Number(rows[0]!.whole) / 2 ** 20, 'MiB'),
    line('writing a course', spent / made.length, 'ms'),
    line('of it in our process', own / made.length, 'ms'),
  ];
  const order =
    way.type === 'tsvector' ? `ts_rank(text, ${way.condition.slice('text @@ '.length)}) DESC, id DESC` : 'id DESC';
  const search = `SELECT id FROM t WHERE ${way.condition} ORDER BY ${order} LIMIT 51`;
  for (const [name, queries] of asked) {
    const times: number[] = [];
    let found = 0;
    for (const query of [...queries.slice(0, 5), ...queries]) {
      const before = performance.now();
      const result = await client.query(search, [way.ask(query)]);
      times.push(performance.now() - before);
      found += result.rowCount ?? 0;
    }
    const counted = times.slice(5);
    out.push(line(`${name}, p50`, quantile(counted, 0.5), 'ms'), line(`${name}, p99`, quantile(counted, 0.99), 'ms'));
    out.push(line(`${name}, on the first page`, found / times.length, 'courses'));
  }
  return [...out, ...(await recall(client, way))];
}

/** What is found of the known titles, and what is found that nobody looked for. */
async function recall(client: pg.Client, way: Way): Promise<Row[]> {
  const counts = { right: [0, 0], short: [0, 0], wrong: [0, 0] };
  for (const { title, right, wrong } of knownTitles) {
    const kept = way.keep({ title, description: '' });
    const finds = async (query: string): Promise<boolean> => {
      const from = `(SELECT ${way.stored.replaceAll('$2', '$2::text')} AS text) AS t`;
      const { rows } = await client.query<{ found: boolean }>(`SELECT ${way.condition} AS found FROM ${from}`, [
        way.ask(query),
        kept,
      ]);
      return rows[0]!.found;
    };
    for (const query of right) {
      const count = [...query].length === 1 ? counts.short : counts.right;
      count[1]! += 1;
      if (await finds(query)) count[0]! += 1;
    }
    for (const query of wrong ?? []) {
      counts.wrong[1]! += 1;
      if (await finds(query)) counts.wrong[0]! += 1;
    }
  }
  const share = ([found, all]: number[]): number => (100 * found!) / all!;
  return [
    row('B4', `${way.name}: known words found, of ${counts.right[1]}`, share(counts.right), { unit: '%' }),
    row('B4', `${way.name}: of one character, of ${counts.short[1]}`, share(counts.short), { unit: '%' }),
    row('B4', `${way.name}: wrong ones found, of ${counts.wrong[1]}`, share(counts.wrong), { unit: '%' }),
  ];
}

const given = process.env['BENCH_POSTGRES_URL'];
const system = given === undefined ? await startBenchSystem() : undefined;
const admin = new pg.Client({ connectionString: given ?? system!.servers.postgres });
await admin.connect();
const name = `bench_search_${process.pid}`;
await admin.query(`CREATE DATABASE ${name}`);
const url = new URL(given ?? system!.servers.postgres);
url.pathname = `/${name}`;
const client = new pg.Client({ connectionString: url.href });
await client.connect();
try {
  const made = [...madeCourses(courses)];
  chooseQueries(made);
  const hasTrigrams = await client.query('CREATE EXTENSION pg_trgm').then(
    () => true,
    () => false,
  );
  const rows: Row[] = [];
  for (const way of ways) if (hasTrigrams || way.name !== 'pg_trgm') rows.push(...(await measure(client, way, made)));
  report('course-search', rows, [
    `${courses} made courses, 45 of 100 in Latin letters; queries are parts of titles, ${samples} of each kind; a page of 51 by relevance (pg_trgm: by id).`,
    ...(hasTrigrams ? [] : ['pg_trgm is not in these binaries.']),
  ]);
} finally {
  await client.end();
  await admin.query(`DROP DATABASE ${name}`);
  await admin.end();
  await system?.stop();
}
