import { isWellFormed } from '@coursewright/course-model/canonical';
import type { Element } from 'domhandler';
import { jsonOf, textValue } from './values.js';
import { elementsOf } from './xml.js';

/** The words of a video in one language. */
export interface Transcript {
  language: string;
  src: string;
}

/** What a video shows, from wherever its element says it. */
export function videoContent(element: Element): Record<string, unknown> {
  const { attribs } = element;
  const youtube =
    textValue(attribs['youtube_id_1_0']) ?? /(?:^|,)1\.0+:([\w-]+)/.exec(textValue(attribs['youtube']) ?? '')?.[1];
  const children = elementsOf(element);
  const named = (name: string): string[] =>
    children.flatMap((child) => (child.name === name ? (textValue(child.attribs['src']) ?? []) : []));
  const sources = [...new Set([...urlsOf(attribs['html5_sources']), ...urlsOf(attribs['source']), ...named('source')])];
  const transcripts = transcriptsOf(element);
  const [handout = textValue(attribs['handout'])] = named('handout');
  const start = textValue(attribs['start_time']) ?? textValue(attribs['from']);
  const end = textValue(attribs['end_time']) ?? textValue(attribs['to']);
  return {
    ...(youtube === undefined ? {} : { youtube }),
    ...(sources.length > 0 ? { sources } : {}),
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
    ...(transcripts.length > 0 ? { transcripts } : {}),
    ...(handout === undefined ? {} : { handout }),
  };
}

/**
 * Transcripts by every way there ever was to name them: `<transcript language src>`, a map of files in `transcripts`, the file of `track`,
 * and `sub="x"`, which stands for `static/subs_x.srt.sjson` and is English.
 */
function transcriptsOf(element: Element): Transcript[] {
  const { attribs } = element;
  const found: Transcript[] = [];
  const add = (language: string, src: string | undefined): void => {
    if (src !== undefined && !found.some((other) => other.language === language && other.src === src))
      found.push({ language, src });
  };
  for (const child of elementsOf(element)) {
    const src = textValue(child.attribs['src']);
    if (child.name === 'transcript' && src !== undefined) add(textValue(child.attribs['language']) ?? '', fileOf(src));
    if (child.name === 'track' && src !== undefined) add('', fileOf(src));
  }
  const map = jsonOf(attribs['transcripts'] ?? '');
  if (typeof map === 'object' && map !== null && !Array.isArray(map)) {
    for (const [language, src] of Object.entries(map))
      if (typeof src === 'string' && src !== '' && isPlain(src) && isPlain(language)) add(language, fileOf(src));
  }
  const track = textValue(attribs['track']);
  if (track !== undefined) add('', fileOf(track));
  const sub = textValue(attribs['sub']);
  if (sub !== undefined) add('en', `/static/subs_${sub}.srt.sjson`);
  return found;
}

function fileOf(src: string): string {
  return src.includes('/') ? src : `/static/${src}`;
}

/** A JSON list of URLs, or one URL. */
function urlsOf(attribute: string | undefined): string[] {
  const read = jsonOf(attribute ?? '');
  const list: unknown[] = Array.isArray(read) ? read : [read];
  return list.filter((url): url is string => typeof url === 'string' && url !== '' && isPlain(url));
}

function isPlain(text: string): boolean {
  return isWellFormed(text) && !text.includes('\0');
}
