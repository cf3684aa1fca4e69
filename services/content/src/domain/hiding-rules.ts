/** What hides an element by its style: nothing to see of it, or no height. */
const HIDDEN =
  '(?:display\\s*:\\s*none|visibility\\s*:\\s*hidden|(?:max-)?height\\s*:\\s*0(?:px|%|r?em)?\\s*(?:[;!}]|$))';
const HIDING_STYLE = new RegExp(`(?:^|[;\\s{])${HIDDEN}`, 'i');
/** Classes by which common style sheets hide something until a script shows it. */
const COMMON = ['hidden', 'hide', 'is-hidden', 'd-none', 'collapse'];
const MOST_RULES = 200;
const MOST_CLASSES = 50;
/** Characters of a list of selectors, and of what a rule says, that are looked at. */
const MOST_OF_RULE = 2000;
/** At-rules whose rules are those of the page; those for paper only are not. */
const GROUPS = /^@(?:media|supports|layer|container)\b/i;
const FOR_PAPER = /^@media\s+(?:only\s+)?print\b[^,]*$/i;
/** A part of a selector that holds only sometimes, or is about something that is made for the element. */
const SOMETIMES = /::|:(?:hover|focus|active|target|checked|visited|before|after|first-l|empty)/i;
const NAME = /([.#])((?:\\.|[^\s.#:[\]>+~,(){}"'\\])+)/g;

/** What a rule says of elements that it hides. */
interface Rule {
  /** Classes, and ids with their mark, that the element has: all of them. */
  readonly names: readonly string[];
  /** Those that are open round it, whichever elements have them; only asked of a rule that names its element by the tag alone. */
  readonly around: readonly string[];
}

/**
 * Which elements of a text its style sheets hide. Selectors are read by their last part: `.box > p.sol:not(.open)` hides what has the class
 * `sol`. An element too many behind something to click is no harm; an answer that is seen before its question is one.
 */
export class HidingRules {
  private readonly byName = new Map<string, Rule[]>(COMMON.map((name) => [name, [{ names: [name], around: [] }]]));
  private readonly byTag = new Map<string, Rule[]>();
  private count = 0;
  /** How often each class or id stands at an element that is open. */
  private readonly around = new Map<string, number>();

  /** Those of all style elements of a text, wherever they stand in it. */
  static of(html: string): HidingRules {
    const rules = new HidingRules();
    let from: number | undefined;
    // No mark reaches beyond the next "<", so that each character is looked at once.
    for (const { 0: mark, 1: end, index } of html.matchAll(/<(\/?)style\b[^<>]*>/gi)) {
      if (end === '') from ??= index + mark.length;
      else if (from !== undefined) {
        rules.read(html.slice(from, index));
        from = undefined;
      }
    }
    if (from !== undefined) rules.read(html.slice(from));
    return rules;
  }

  /** Whether an element is hidden that stands in those that are open. */
  hides(tag: string, attributes: Readonly<Record<string, string>>): boolean {
    if (attributes['style'] !== undefined && HIDING_STYLE.test(attributes['style'])) return true;
    const own = namesOf(attributes);
    const isHeld = ({ names, around }: Rule): boolean =>
      names.every((name) => own.includes(name)) && around.every((name) => (this.around.get(name) ?? 0) > 0);
    return own.some((name) => this.byName.get(name)?.some(isHeld)) || (this.byTag.get(tag)?.some(isHeld) ?? false);
  }

  /** An element with these names is open from now on. */
  open(names: readonly string[]): void {
    for (const name of names) this.around.set(name, (this.around.get(name) ?? 0) + 1);
  }

  close(names: readonly string[]): void {
    for (const name of names) this.around.set(name, (this.around.get(name) ?? 0) - 1);
  }

  private read(styles: string): void {
    const css = styles.replace(/\/\*[^]*?(?:\*\/|$)|<!--|-->/g, ' ');
    let end = 0;
    for (let open = css.indexOf('{'); open >= 0; open = css.indexOf('{', end)) {
      const before = css.slice(Math.max(end, open - MOST_OF_RULE), open);
      const selectors = before.slice(Math.max(before.lastIndexOf('}'), before.lastIndexOf(';')) + 1).trim();
      const isForPage = GROUPS.test(selectors) && !FOR_PAPER.test(selectors);
      if (isForPage) end = open + 1;
      else if (selectors.startsWith('@')) end = endOfBlock(css, open);
      else {
        const close = css.indexOf('}', open);
        end = close < 0 ? css.length : close + 1;
        const body = css.slice(open, Math.min(close < 0 ? css.length : close, open + MOST_OF_RULE));
        if (HIDING_STYLE.test(body)) for (const selector of selectors.split(',')) this.add(selector);
      }
    }
  }

  private add(selector: string): void {
    const parts = selector
      .replace(/\[[^\]]*\]|\([^)]*\)/g, '')
      .split(/[\s>+~]+/)
      .filter((part) => part !== '');
    const last = parts.pop();
    if (last === undefined || SOMETIMES.test(last) || this.count >= MOST_RULES) return;
    const names = namesIn(last);
    const tag = /^[a-z][a-z0-9-]*/i.exec(last)?.[0].toLowerCase();
    if (names[0] === undefined && tag === undefined) return;
    const [index, key] = names[0] === undefined ? [this.byTag, tag!] : [this.byName, names[0]];
    const rules = index.get(key) ?? [];
    rules.push({ names, around: names[0] === undefined ? parts.flatMap(namesIn) : [] });
    index.set(key, rules);
    this.count += 1;
  }
}

/** The classes of an element, and its id with its mark, as selectors name them. */
export function namesOf({ class: classes, id }: Readonly<Record<string, string | undefined>>): string[] {
  const own = classes === undefined ? [] : classes.split(/\s+/, MOST_CLASSES).filter((name) => name !== '');
  if (id !== undefined) own.push(`#${id}`);
  return own;
}

function namesIn(part: string): string[] {
  return [...part.matchAll(NAME)].map(([, mark, name]) => {
    const plain = name!.replace(/\\(.)/g, '$1');
    return mark === '#' ? `#${plain}` : plain;
  });
}

/** Where a block ends that begins at a brace, blocks inside of it counted in. */
function endOfBlock(css: string, open: number): number {
  let depth = 0;
  for (let at = open; at < css.length; at += 1) {
    if (css[at] === '{') depth += 1;
    else if (css[at] === '}' && --depth === 0) return at + 1;
  }
  return css.length;
}
