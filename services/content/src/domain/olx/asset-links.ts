import type { KeptFile } from '../import-report.js';
import type { ListedItem } from './leaf.js';

/** Finds the stored file that a course calls by a name. */
export type FindAsset = (name: string) => Promise<KeptFile | undefined>;

/** How courses call their files: by `/static/`, and in old and new forms that name the course too; not as a part of another address. */
const LINK =
  /(?<![\w.:/%-])(?:\/static\/|\/c4x\/[^/"'<>\s]{1,100}\/[^/"'<>\s]{1,100}\/asset\/|\/?asset-v1:[^"'<>\s@]{1,300}\+type@asset\+block@)/g;
const MAX_NAME = 1000;
/** What ends a link, by what stands before it. */
const STOPS = { double: /["<>]/g, single: /['<>]/g, alone: /["'<>]/g, bare: /["'<>\s)]/g };

/**
 * An item in which links to files of its course are links to the stored files (`asset:<hash>`), in all that learners get; sources
 * (`vendor/…`, answers, metadata) stay as they were written. `missing` has the links whose file is not there, which stay too.
 */
export async function withAssets<T extends ListedItem>(
  listed: T,
  find: FindAsset,
): Promise<{ listed: T; missing: string[] }> {
  const links = new Map<string, string>();
  const missing = new Set<string>();
  const fields = LEARNERS[listed.list];
  const item = { ...listed.item } as Record<string, unknown>;
  if (String(item['type']).startsWith('vendor/')) return { listed, missing: [] };
  for (const field of fields) {
    for (const link of linksIn(item[field])) {
      if (links.has(link) || missing.has(link)) continue;
      const { name, rest } = nameOf(link);
      const file = await find(name);
      if (file) links.set(link, `asset:${file.hash}${rest}`);
      else missing.add(link);
    }
  }
  if (links.size > 0) for (const field of fields) item[field] = replaced(item[field], links);
  return { listed: { ...listed, item }, missing: [...missing] };
}

const LEARNERS = {
  materials: ['content'],
  exercises: ['instructions', 'content'],
  assessments: ['questions'],
} as const;

function* linksIn(value: unknown): Generator<string> {
  if (typeof value === 'string') {
    for (const { link } of placesIn(value)) yield link;
  } else if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) yield* linksIn(part);
  }
}

/** Where a text names files. A name in quotes ends at the quote, so that it may hold blanks; any other at a blank. */
function* placesIn(text: string): Generator<{ start: number; link: string }> {
  if (text.length > 0 && !text.includes('/')) return;
  for (const match of text.matchAll(LINK)) {
    const start = match.index;
    const quote = text[start - 1];
    const isQuoted = quote === '"' || quote === "'";
    const isAlone = start === 0;
    const stop = isQuoted ? (quote === '"' ? STOPS.double : STOPS.single) : isAlone ? STOPS.alone : STOPS.bare;
    stop.lastIndex = start + match[0].length;
    const end = stop.exec(text)?.index ?? text.length;
    const link = text.slice(start, end);
    // A list of pictures for several sizes: "/static/a.png 1x, /static/b.png 2x".
    const first = /^(\S+) [\d.]+[xw](?:,|$)/.exec(link)?.[1];
    const exact = first ?? link.trimEnd();
    if (exact.length > match[0].length && exact.length <= MAX_NAME) yield { start, link: exact };
  }
}

/** The name of the file that a link means, and what stands behind it. */
function nameOf(link: string): { name: string; rest: string } {
  const [prefix = ''] = link.match(LINK) ?? [];
  const [, path = '', rest = ''] = /^([^?#]*)(?:\?[^#]*)?(#.*)?$/s.exec(link.slice(prefix.length)) ?? [];
  const plain = path.replaceAll('&amp;', '&').replaceAll('&#39;', "'").replaceAll('&quot;', '"');
  try {
    return { name: decodeURIComponent(plain), rest };
  } catch {
    return { name: plain, rest };
  }
}

function replaced(value: unknown, links: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') {
    let done = 0;
    let text = '';
    for (const { start, link } of placesIn(value)) {
      const target = links.get(link);
      if (target === undefined || start < done) continue;
      text += value.slice(done, start) + target;
      done = start + link.length;
    }
    return text + value.slice(done);
  }
  if (Array.isArray(value)) return value.map((part: unknown) => replaced(part, links));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, replaced(part, links)]));
}
