/** What HTML may hold that learners do not get as it is, and what is said of it. */
const KINDS: readonly { readonly of: RegExp; readonly what: string }[] = [
  {
    of: /<(?:iframe|object|embed|applet)\b/gi,
    what: 'pages or objects of elsewhere (#) that it embeds are links for learners',
  },
  { of: /<(?:svg|canvas)\b/gi, what: 'drawings (#) in its HTML are notes for learners that say what is drawn' },
  { of: /<script\b/gi, what: 'scripts (#) in it do not run here' },
  { of: /<(?:input|button|select|textarea)\b/gi, what: 'form fields (#) in it do not work here' },
  { of: /<style\b/gi, what: 'style sheets (#) in it are not used here' },
  { of: /<area\b/gi, what: 'links (#) from areas of its pictures are not shown here' },
  { of: /\/jump_to(?:_id)?\//g, what: 'links (#) to other parts of its course lead nowhere here' },
];

/** What of a text in HTML does not reach learners as it was. The text itself is stored as it came. */
export function htmlRemarks(html: string): string[] {
  return KINDS.flatMap(({ of, what }) => {
    const found = html.match(of)?.length ?? 0;
    return found > 0 ? [`${what.replace('#', String(found))}; its source is kept`] : [];
  });
}
