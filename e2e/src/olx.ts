import { gunzipSync, gzipSync } from 'node:zlib';

/** The files of a tar.gz, read by a second hand: the importer's own reader is what is being tested. */
export function filesOf(archive: Buffer): Map<string, string> {
  const tar = gunzipSync(archive);
  const files = new Map<string, string>();
  for (let at = 0; at + 512 <= tar.length;) {
    const text = (from: number, length: number): string =>
      tar.toString('utf8', at + from, at + from + length).replace(/\0.*$/s, '');
    const name = text(0, 100);
    if (name === '') break;
    const size = parseInt(text(124, 12).trim() || '0', 8);
    const prefix = text(345, 155);
    if (text(156, 1) === '0' || text(156, 1) === '')
      files.set(prefix ? `${prefix}/${name}` : name, tar.toString('utf8', at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

/** A tar.gz of these files, by path; paths have at most 100 bytes. */
export function archiveOf(files: Readonly<Record<string, string>>): Buffer {
  const blocks = Object.entries(files).flatMap(([path, text]) => {
    const bytes = Buffer.from(text);
    const head = Buffer.alloc(512);
    head.write(path, 0);
    head.write('0000644\0' + '0000000\0'.repeat(2) + `${bytes.length.toString(8).padStart(11, '0')}\0`, 100);
    head.write('00000000000\0        0', 136);
    head.write('ustar\u000000', 257);
    const sum = head.reduce((total, byte) => total + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [head, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

/** For each vertical of an OLX archive the url_names of its leaf blocks, in order; the children of a library follow it. */
export async function childrenOfVerticals(archive: Buffer): Promise<Map<string, string[]>> {
  const children = new Map<string, string[]>();
  const files = filesOf(archive);
  const libraries = new Map<string, string[]>();
  for (const [path, xml] of files) {
    const name = /\/library_content\/([^/]+)\.xml$/.exec(path)?.[1];
    if (name !== undefined) libraries.set(name, topLevelNames(xml));
  }
  for (const [path, xml] of files) {
    const name = /\/vertical\/([^/]+)\.xml$/.exec(path)?.[1];
    if (name === undefined || /\/\._/.test(path)) continue;
    children.set(
      name,
      topLevelNames(xml).flatMap((child) => [child, ...(libraries.get(child) ?? [])]),
    );
  }
  return children;
}

/** url_name of each direct child of the root element; comments and deeper elements are stepped over. */
function topLevelNames(xml: string): string[] {
  const names: string[] = [];
  let depth = 0;
  const tags = xml
    .replace(/<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>/gs, '')
    .matchAll(/<(\/?)([A-Za-z_][\w.-]*)((?:"[^"]*"|'[^']*'|[^>"'])*?)(\/?)>/gs);
  for (const [, closing, , attributes, empty] of tags) {
    if (closing) depth -= 1;
    else {
      if (depth === 1) names.push(/\burl_name="([^"]*)"/.exec(attributes!)?.[1] ?? '');
      if (!empty) depth += 1;
    }
  }
  return names;
}

/** The url_names of the verticals that the sequentials of the archive point to. */
export async function sourceKeysOf(archive: Buffer): Promise<{ verticals: string[] }> {
  const verticals: string[] = [];
  for (const [path, xml] of filesOf(archive)) {
    if (/\/sequential\/[^/]+\.xml$/.test(path))
      for (const [, name] of xml.matchAll(/<vertical\s+url_name="([^"]+)"/g)) verticals.push(name!);
  }
  return { verticals };
}
