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
  const encodings = encodingsOf(element);
  const youtube =
    textValue(attribs['youtube_id_1_0']) ??
    /(?:^|,)\s*1\.0+\s*:\s*([\w-]+)/.exec(textValue(attribs['youtube']) ?? '')?.[1] ??
    encodings.youtube;
  const children = elementsOf(element);
  const named = (name: string): string[] =>
    children.flatMap((child) => (child.name === name ? (textValue(child.attribs['src']) ?? []) : []));
  const listed = [...urlsOf(attribs['html5_sources']), ...urlsOf(attribs['source']), ...named('source')];
  const sources = [...new Set([...listed, ...encodings.urls])];
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
 * The encodings of a video that the platform's own store had: `<video_asset><encoded_video profile="desktop_mp4" url="https://…"/>`. Those of
 * the profile `youtube` have an id there instead of a URL.
 */
function encodingsOf(element: Element): { readonly urls: readonly string[]; readonly youtube?: string } {
  const all = elementsOf(element)
    .filter(({ name }) => name === 'video_asset')
    .flatMap((asset) => elementsOf(asset).filter(({ name }) => name === 'encoded_video'))
    .flatMap(({ attribs }) => {
      const url = textValue(attribs['url']);
      return url === undefined ? [] : [{ url, isYoutube: textValue(attribs['profile']) === 'youtube' }];
    });
  const youtube = all.find(({ url, isYoutube }) => isYoutube && /^[\w-]{1,64}$/.test(url))?.url;
  const urls = all.flatMap(({ url, isYoutube }) => (isYoutube ? [] : [url]));
  return { urls, ...(youtube === undefined ? {} : { youtube }) };
}

/**
 * Transcripts by every way there ever was to name them: `<transcript language src>`, a map of files in `transcripts`, the file of `track`,
 * `sub="x"`, which stands for `static/subs_x.srt.sjson` and is English, and those of the platform's own store, by video and language.
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
    if (child.name === 'video_asset') {
      for (const { language, format } of storedTranscripts(child))
        add(language, `/static/${textValue(attribs['edx_video_id']) ?? ''}-${language}.${format}`);
    }
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

/** `<video_asset><transcripts><transcript language_code="en" file_format="srt"/>`: their files are exported into `static/`. */
function storedTranscripts(asset: Element): { readonly language: string; readonly format: string }[] {
  return elementsOf(asset)
    .filter(({ name }) => name === 'transcripts')
    .flatMap((list) => elementsOf(list))
    .flatMap(({ attribs }) => {
      const language = textValue(attribs['language_code']);
      return language === undefined ? [] : [{ language, format: textValue(attribs['file_format']) ?? 'srt' }];
    });
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
