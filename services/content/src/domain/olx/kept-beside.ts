import { codePoints, firstPoints } from '@coursewright/course-model/text-length';
import { isCDATA, isText, type AnyNode, type Element } from 'domhandler';
import { isNormalizable } from '@coursewright/course-model/text-rules';
import type { NodeAttributes } from './attributes.js';
import { plainText } from './html-text.js';
import type { Reading } from './lesson-content.js';
import type { Block } from './olx-files.js';
import { textOf, writtenOut } from './xml.js';

const ABOUT = 'about/short_description.html';
const MAX_ABOUT_BYTES = 64 * 1024;
const MAX_DESCRIPTION = 10_000;
/** Bytes of it: with the other fields it has to fit into the 64 KiB of a node. */
const MAX_DESCRIPTION_BYTES = 30_000;

/** Makes the short description of a course its description; one that is too long, or second to another, is kept beside it. */
export async function readDescription({ files: { files } }: Reading, read: NodeAttributes): Promise<void> {
  const html = await files.text(ABOUT, MAX_ABOUT_BYTES);
  if (html === undefined) return;
  const text = plainText(html, html.length);
  if (text === '') return;
  if (read.fields['description'] === undefined && isNormalizable(text)) read.fields['description'] = beginningOf(text);
  if (read.fields['description'] === text) {
    if (/<(?:a|img|iframe|video|audio|object)\b/i.test(html))
      await files.keepOwn(
        ABOUT,
        'has links or pictures, which a description cannot have; its text is one, the whole is kept as a file',
      );
    return;
  }
  const what = `is a description of ${codePoints(text)} characters; a course has one of at most ${MAX_DESCRIPTION}, the whole is kept as a file`;
  await files.keepOwn(ABOUT, what);
}

function beginningOf(text: string): string {
  const most = firstPoints(text, MAX_DESCRIPTION);
  if (Buffer.byteLength(most) <= MAX_DESCRIPTION_BYTES) return most;
  return firstPoints(most, Math.floor(MAX_DESCRIPTION_BYTES / 4));
}

/** A text between the parts of a course, which Open edX shows to nobody. */
export async function keepText({ book, files }: Reading, node: AnyNode, sourceOf: () => string): Promise<void> {
  const value = isText(node) || isCDATA(node) ? textOf(node).trim() : '';
  if (value === '') return;
  const source = sourceOf();
  await files.files.keepText({ kind: 'text', source, value });
  book.lose({
    source,
    what: 'is text between parts, which its source shows to nobody; kept beside the course',
    kept: true,
  });
}

/** An element of a course that is a setting, no part. */
export async function keepSetting(reading: Reading, element: Element, source: string): Promise<void> {
  const { book, files, pause } = reading;
  await files.files.keepText({ kind: 'element', source, value: await writtenOut(element, pause) });
  book.lose({ source, what: 'is a setting without a counterpart; kept beside the course', kept: true });
}

/** Says that a part could only be read in part, and keeps what its file holds. */
export async function keepBroken({ book, files }: Reading, { key, problem, raw }: Block): Promise<void> {
  if (raw !== undefined) await files.files.keepText({ kind: 'text', source: key, value: raw });
  const kept = raw === undefined ? '' : '; its text is kept beside the course';
  book.lose({ source: key, what: `${problem ?? ''}; read as far as it could be${kept}`, kept: raw !== undefined });
}
