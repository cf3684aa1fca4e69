import { Parser } from 'htmlparser2';

/** Elements that begin a line of their own. */
const BLOCKS = new Set(
  'address article aside blockquote br dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section table tr ul'.split(
    ' ',
  ),
);
/** Characters of HTML that are looked at for a shorter text. */
const MOST_MARKUP = 512 * 1024;
/** Elements whose text nobody reads. */
const SILENT = new Set(['script', 'style', 'head', 'template', 'noscript']);

/** The text that HTML shows, entities as characters, one line for each block; at most so many characters of it. */
export function plainText(html: string, most: number): string {
  const parts: string[] = [];
  let length = 0;
  let silent = 0;
  const parser = new Parser(
    {
      onopentagname(name) {
        if (SILENT.has(name)) silent++;
        else if (BLOCKS.has(name)) parts.push('\n');
        else if (name === 'td' || name === 'th') parts.push(' ');
      },
      ontext(data) {
        if (silent > 0 || length > most) return;
        const some = data.slice(0, most - length + 1);
        parts.push(some.replace(/\s+/g, ' '));
        length += some.length;
        if (length > most) parser.pause();
      },
      onclosetag(name) {
        if (SILENT.has(name)) silent--;
        else if (BLOCKS.has(name)) parts.push('\n');
      },
    },
    { decodeEntities: true },
  );
  // Markup takes room too, but what is shown of a text begins where the text does.
  parser.write(html.slice(0, Math.max(MOST_MARKUP, most)));
  parser.end();
  const text = parts
    .join('')
    .replace(/[ \t]*\n\s*/g, '\n')
    .trim();
  return text.length <= most ? text : text.slice(0, most).replace(/[\ud800-\udbff]$/, '');
}
