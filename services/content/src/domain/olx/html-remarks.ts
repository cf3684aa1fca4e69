/** What HTML may hold that learners do not get as it is, and what is said of it. */
const KINDS: readonly { readonly of: RegExp; readonly say: (found: number) => string }[] = [
  {
    of: /<(?:iframe|object|embed|applet)\b/gi,
    say: (found) => `embeds ${times(found, 'page or object', 'pages or objects')} of elsewhere: learners get a link`,
  },
  {
    of: /<(?:svg|canvas)\b/gi,
    say: (found) => `holds ${times(found, 'drawing', 'drawings')} in its HTML: learners get a note that it is there`,
  },
  { of: /<script\b/gi, say: (found) => `holds ${times(found, 'script', 'scripts')}, which do not run here` },
  {
    of: /<(?:input|button|select|textarea)\b/gi,
    say: (found) => `holds ${times(found, 'form field', 'form fields')}, which do not work here`,
  },
  { of: /<style\b/gi, say: (found) => `holds ${times(found, 'style sheet', 'style sheets')}, which are not used here` },
  {
    of: /\/jump_to(?:_id)?\//g,
    say: (found) =>
      `links to ${times(found, 'other part', 'other parts')} of its course by addresses that lead nowhere here`,
  },
];

/** What of a text in HTML does not reach learners as it was. The text itself is stored as it came. */
export function htmlRemarks(html: string): string[] {
  return KINDS.flatMap(({ of, say }) => {
    const found = html.match(of)?.length ?? 0;
    return found > 0 ? [`${say(found)}; its source is kept`] : [];
  });
}

function times(count: number, one: string, many: string): string {
  return count === 1 ? `a ${one}` : `${count} ${many}`;
}
