import type { ImportBook, KeptFile } from '../import-report.js';
import type { FileKeeper } from './course-files.js';
import { plainText } from './html-text.js';
import type { ListedItem } from './leaf.js';
import { escapeText } from '../escape.js';

/** An item of which something large has become files. */
export interface Shrunk {
  listed: ListedItem;
  files: KeptFile[];
  what: string;
}

/** Pictures of fewer characters stay in their text. */
const MIN_PICTURE = 1024;
/** Sources of fewer characters stay with their item. */
const MIN_SOURCE = 2048;
/** What a text keeps of itself when it has to become a file. */
const MAX_EXCERPT = 100_000;
const MIN_TEXT = 2048;
const DATA_URI = /data:([a-z]+\/[a-z0-9.+-]+)((?:;[a-z0-9=-]+)*),([A-Za-z0-9+/=%._~\s-]*)/gi;

/**
 * Takes the next large thing out of an item that does not fit: pictures in its texts, then the source kept with it, then its text, of
 * which the beginning stays. Answers undefined when there is nothing left to take.
 */
export async function shrink(listed: ListedItem, keeper: FileKeeper): Promise<Shrunk | undefined> {
  return (
    (await withoutPictures(listed, keeper)) ?? (await withoutSource(listed, keeper)) ?? withoutText(listed, keeper)
  );
}

/** Notes in the book what has become files. */
export function noteShrunk(book: ImportBook, source: string, { files, what }: Shrunk): void {
  for (const file of files) book.keep({ kind: 'file', source, file });
  book.lose({ source, what, kept: true });
}

/** Fields of an item whose texts learners get. */
const TEXTS = ['content', 'instructions', 'questions'] as const;

async function withoutPictures(listed: ListedItem, keeper: FileKeeper): Promise<Shrunk | undefined> {
  const item = { ...listed.item } as Record<string, unknown>;
  const files = new Map<string, KeptFile>();
  for (const field of TEXTS) {
    for (const text of textsIn(item[field])) {
      for (const [uri = '', type = '', options = '', data = ''] of text.matchAll(DATA_URI)) {
        if (uri.length >= MIN_PICTURE && !files.has(uri))
          files.set(uri, await keeper.keepBytes(bytesOf(data, /;base64/i.test(options)), type.toLowerCase()));
      }
    }
  }
  if (files.size === 0) return undefined;
  const instead = (text: string): string =>
    text.replace(DATA_URI, (uri) => {
      const file = files.get(uri);
      return file ? `asset:${file.hash}` : uri;
    });
  for (const field of TEXTS) if (Object.hasOwn(item, field)) item[field] = mapTexts(item[field], instead);
  const kept = [...files.values()];
  const names = kept.slice(0, 5).map(({ hash, bytes }) => `${hash}, ${bytes} bytes`);
  const what = `holds ${kept.length} pictures too large for a lesson document; they are files now (${names.join('; ')}${kept.length > 5 ? '; …' : ''})`;
  return { listed: { ...listed, item } as ListedItem, files: kept, what };
}

async function withoutSource(listed: ListedItem, keeper: FileKeeper): Promise<Shrunk | undefined> {
  const { answers, metadata } = listed.item as { answers?: unknown; metadata?: { olx?: unknown } };
  const inAnswers = sourceIn(answers);
  const source = inAnswers ?? sourceIn(metadata?.olx);
  if (source === undefined) return undefined;
  const file = await keeper.keepBytes(Buffer.from(source), 'application/xml');
  const named = { source: `asset:${file.hash}` };
  const rest =
    inAnswers === undefined
      ? { metadata: { ...metadata, olx: named } }
      : { answers: { ...(answers as object), ...named } };
  const what = `its source of ${file.bytes} bytes does not fit into a lesson document; it is kept as a file (${file.hash})`;
  return { listed: { ...listed, item: { ...listed.item, ...rest } } as ListedItem, files: [file], what };
}

function sourceIn(value: unknown): string | undefined {
  const source = (value as { source?: unknown } | null | undefined)?.source;
  return typeof source === 'string' && source.length >= MIN_SOURCE ? source : undefined;
}

/** The whole becomes a file; learners get the beginning of the text and a link to the rest, authors of other kinds the link. */
async function withoutText(listed: ListedItem, keeper: FileKeeper): Promise<Shrunk | undefined> {
  const item = listed.item as Record<string, unknown>;
  const field = TEXTS.find((name) => lengthOf(item[name]) >= MIN_TEXT);
  if (field === undefined) return undefined;
  const value = item[field];
  const isHtml = item['type'] === 'text/html' || field !== 'content' || listed.list !== 'materials';
  const whole = typeof value === 'string' ? value : JSON.stringify(value);
  const type = typeof value !== 'string' ? 'application/json' : isHtml ? 'text/html' : 'application/xml';
  const file = await keeper.keepBytes(Buffer.from(whole), type);
  const excerpt = isHtml ? plainText([...textsIn(value)].join('\n'), MAX_EXCERPT) : undefined;
  // An excerpt that is hardly shorter is no way to make room: then the link alone stays.
  const shown = excerpt !== undefined && excerpt.length * 2 < whole.length ? excerpt : '';
  const html = `${shown === '' ? '' : `<p>${escapeText(shown).replaceAll('\n', '<br>')}</p>`}<p><a href="asset:${file.hash}">The whole text as a file</a></p>`;
  const instead =
    field === 'questions' ? [{ type: 'text', html }] : listed.list === 'materials' && isHtml ? html : { html };
  const left = isHtml ? instead : { file: `asset:${file.hash}` };
  const what = `${file.bytes} bytes of text do not fit into a lesson document; ${shown === '' ? 'a link to it' : 'its beginning'} stays, the whole is kept as a file (${file.hash})`;
  return { listed: { ...listed, item: { ...item, [field]: left } } as unknown as ListedItem, files: [file], what };
}

function lengthOf(value: unknown): number {
  return typeof value === 'string' ? value.length : JSON.stringify(value ?? '').length;
}

function bytesOf(data: string, isBase64: boolean): Buffer {
  if (isBase64) return Buffer.from(data, 'base64');
  try {
    return Buffer.from(decodeURIComponent(data));
  } catch {
    return Buffer.from(data);
  }
}

function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) yield* textsIn(part);
}

function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((part: unknown) => mapTexts(part, change));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, mapTexts(part, change)]));
}
