/** A lesson document of the largest size, and what it is made of. */
export interface RenderDocument {
  readonly name: string;
  /** Whether all of it is shown, or a note stands in the place of what is beyond the limits of a page. */
  readonly shown: 'whole' | 'note';
  /** The document; another `version` gives another body of the same shape and size. */
  make(version: number): string;
}

/** What a lesson may have, less some room for its frame. */
const BYTES = 1024 * 1024 - 2_000;
const WORDS = (
  'the course begins with what learners know already and asks them to explain it in their own words before anything new is said ' +
  'energy flows through every system while matter goes round in cycles of carbon nitrogen and water each at its own pace'
).split(' ');

/** So many words, always the same for the same number. */
function words(seed: number, count: number): string {
  return Array.from({ length: count }, (_, n) => WORDS[(seed * 7 + n * 13 + ((seed * n) % 5)) % WORDS.length]).join(
    ' ',
  );
}

/** Pieces, one after the other, until no other would fit into a mebibyte of JSON. */
function fill(piece: (n: number) => string, bytes = BYTES): string {
  const pieces: string[] = [];
  for (let n = 0, size = 0; ; n += 1) {
    const next = piece(n);
    size += Buffer.byteLength(JSON.stringify(next)) - 2;
    if (size > bytes) return pieces.join('');
    pieces.push(next);
  }
}

const chapter = (n: number): string =>
  `## ${words(n, 5)}\n\n${words(n, 60)}, see [${words(n, 3)}](https://example.org/page/${n}) and *${words(n, 2)}*.\n\n` +
  `- ${words(n, 8)}\n- **${words(n + 1, 3)}** ${words(n, 6)}\n- ${words(n + 2, 9)}\n\n${words(n + 3, 50)} \`code ${n}\` ${words(n, 20)}.\n\n`;

const page = (n: number): string =>
  `<div class="section"><h3 id="s${n}">${words(n, 5)}</h3>\n<p>${words(n, 40)} <a href="/static/file${n}.pdf" target="_blank">${words(n, 3)}</a>, ` +
  `<strong>${words(n, 2)}</strong> ${words(n, 12)}.</p>\n<p style="text-align: center;"><img src="https://example.org/i/${n}.png" alt="${words(n, 4)}" width="400"></p>\n` +
  `<ul>\n<li>${words(n, 7)}</li>\n<li><em>${words(n, 2)}</em> ${words(n, 6)}</li>\n<li>${words(n + 1, 8)}</li>\n</ul>\n</div>\n`;

/** As much markup as one text may have: 50,000 elements and attributes. */
const dense = (n: number): string => `<p><b>${words(n, 1)}</b> <i title="t">${words(n, 4)}</i></p>\n`;

const deepMarkdown = (n: number): string =>
  Array.from({ length: 40 }, (_, level) => `${'  '.repeat(level)}- ${words(n + level, 2)}\n`).join('');
const deepHtml = (n: number): string =>
  `${'<ul><li>item '.repeat(48)}${words(n, 60)}${'</li></ul>'.repeat(48)}${`<p>${words(n, 200)}</p>`}\n`;

const tableRow = (n: number): string => `| ${n} | ${words(n, 8)} | ${words(n + 1, 9)} | ${words(n + 2, 5)} |\n`;
const shortRow = (n: number): string => `| ${n} | ${words(n, 3)} | ${words(n + 1, 4)} | ${words(n + 2, 2)} |\n`;
const htmlRow = (n: number): string =>
  `<tr><td>${n}</td><td>${words(n, 6)}</td><td>${words(n + 1, 7)}</td><td align="right">${words(n, 4)}</td></tr>\n`;

const formula = (n: number): string =>
  `${words(n, 25)} $x_{${n}}^2 + \\frac{a_${n}}{b}$ ${words(n, 20)} \\(\\sum_{i=0}^{${n}} i\\).\n\n` +
  `$$\n\\begin{matrix} a & b \\\\ c & d \\end{matrix}\n$$\n\n`;
const mathml = (n: number): string =>
  `<p>${words(n, 55)} <math display="block"><mfrac><mn>${n}</mn><msup><mi>x</mi><mn>2</mn></msup></mfrac><mo>+</mo>` +
  `<msqrt><mi>y</mi></msqrt></math> ${words(n, 8)}</p>\n`;

type Material = readonly [type: 'text/markdown' | 'text/html', content: string];

function document(materials: readonly Material[], version: number): string {
  const [[type, content] = ['text/markdown', ''], ...others] = materials;
  const first = { type, content: type === 'text/html' ? `<p>${version}</p>\n${content}` : `${version}\n\n${content}` };
  return JSON.stringify({
    objectives: [],
    materials: [first, ...others.map(([kind, text]) => ({ type: kind, content: text }))],
    exercises: [],
    assessments: [],
  });
}

function one(name: string, shown: 'whole' | 'note', ...materials: Material[]): RenderDocument {
  return { name, shown, make: (version) => document(materials, version) };
}

/** The largest legal documents of each kind: a mebibyte, or less where as much markup as is shown comes to less. */
export function renderDocuments(): RenderDocument[] {
  const tableHead = '| no | a | b | c |\n|---|---|---|---|\n';
  const table = (n: number): string => `<table>${fill((row) => htmlRow(n + row), BYTES / 3 - 200)}</table>`;
  return [
    one('Markdown', 'whole', ['text/markdown', fill(chapter)]),
    one('HTML', 'whole', ['text/html', fill(page)]),
    one('deep lists, Markdown', 'whole', ['text/markdown', fill(deepMarkdown)]),
    one('deep lists, HTML', 'whole', ['text/html', fill(deepHtml)]),
    one('one table, Markdown', 'whole', ['text/markdown', tableHead + fill(tableRow, BYTES - 100)]),
    one('one table, Markdown, short cells', 'note', ['text/markdown', tableHead + fill(shortRow, BYTES - 100)]),
    one('one table, HTML', 'whole', ['text/html', `<table>${fill(htmlRow, BYTES - 100)}</table>`]),
    one('formulas', 'whole', ['text/markdown', fill(formula)]),
    one('MathML', 'whole', ['text/html', fill(mathml)]),
    one('as many elements as a text may have', 'whole', ['text/html', fill(dense, 700_000)]),
    one(
      'three tables, as much as a page may have',
      'whole',
      ...[0, 1, 2].map((n): Material => ['text/html', table(n)]),
    ),
  ];
}
