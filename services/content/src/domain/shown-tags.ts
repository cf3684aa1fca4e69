/** MathML without what may hold HTML or load something (MathML Core, but for `semantics` and old presentation elements). */
export const MATH_TAGS: readonly string[] = (
  'math menclose merror mfenced mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace msqrt mstyle msub ' +
  'msubsup msup mtable mtd mtext mtr mlabeledtr munder munderover none semantics'
).split(' ');

/** Elements that a page may have. The sanitiser looks through them at every tag: what lessons have most of comes first. */
export const SHOWN_TAGS: readonly string[] = [
  ...(
    'p li td ul span a strong em div br tr img b i code ol th mi mn mo mrow h3 h2 h4 pre tbody table ' +
    'abbr address article aside bdi bdo big blockquote caption center cite col colgroup dd del details dfn dl dt ' +
    'figcaption figure footer h1 h5 h6 header hr ins kbd main mark nav q rp rt ruby s samp section small ' +
    'strike sub summary sup tfoot thead time tt u var wbr audio video source track'
  ).split(' '),
  ...MATH_TAGS,
];

/** Elements that a page shows as others: browsers give them a place of their own, which would be lost with an unknown name. */
export const RENAMED_TAGS: ReadonlyMap<string, string> = new Map(
  'fieldset:div form:div label:span font:span button:span select:ul option:li textarea:span menu:ul dir:ul listing:pre xmp:pre legend:p dialog:div acronym:abbr applet:object'
    .split(' ')
    .map((pair) => pair.split(':') as [string, string]),
);
