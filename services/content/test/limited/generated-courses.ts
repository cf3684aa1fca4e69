import { tarOf } from '../support.js';

/** A made course, packed. */
export interface GeneratedCourse {
  readonly name: string;
  /** How many nodes it has at least. */
  readonly nodes: number;
  make(): Promise<Buffer>;
}

type Files = [path: string, text: string][];

const times = (count: number, make: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => make(n)).join('');

/** A course of so many lessons, ten a module, ten modules a unit. */
function courseOf(lessons: number, blocks: (n: number) => string): [string, string] {
  const vertical = (n: number): string =>
    n < lessons ? `<vertical url_name="v${n}" display_name="Lesson ${n}">${blocks(n)}</vertical>` : '';
  const sequential = (n: number): string =>
    n * 10 < lessons
      ? `<sequential url_name="s${n}" display_name="Module ${n}">${times(10, (i) => vertical(n * 10 + i))}</sequential>`
      : '';
  const chapters = times(
    Math.ceil(lessons / 100),
    (n) => `<chapter url_name="u${n}" display_name="Unit ${n}">${times(10, (i) => sequential(n * 10 + i))}</chapter>`,
  );
  return ['course.xml', `<course url_name="c" display_name="Made">${chapters}</course>`];
}

const sentence = (n: number): string => `Sentence ${n} of this page says what it has to say, and ${n % 7} more. `;

function smallLessons(): Files {
  return [
    courseOf(
      4_000,
      (n) =>
        `<html url_name="h${n}" display_name="Page ${n}"><p>Small page ${n}</p></html>${n % 9 === 0 ? '<poll url_name="poll"/>' : ''}`,
    ),
  ];
}

function largePages(): Files {
  const files: Files = [courseOf(3_000, (n) => `<html url_name="h${n}" filename="h${n}" display_name="Page ${n}"/>`)];
  for (let n = 0; n < 3_000; n += 1) {
    files.push([`html/h${n}.xml`, `<html filename="h${n}" display_name="Page ${n}"/>`]);
    const paragraphs = n % 30 === 0 ? 2_500 : 20;
    files.push([`html/h${n}.html`, times(paragraphs, (i) => `<p><b>${i}</b> ${sentence(n * 31 + i)}</p>\n`)]);
  }
  return files;
}

function manyFiles(): Files {
  const files: Files = [
    courseOf(
      3_000,
      (n) =>
        `<html url_name="h${n}"><p><a href="/static/notes/f${n}.txt">${n}</a> <img src="/static/i${n % 500}.png"/></p></html>`,
    ),
  ];
  for (let n = 0; n < 3_000; n += 1) files.push([`static/notes/f${n}.txt`, times(20, (i) => sentence(n * 37 + i))]);
  for (let n = 0; n < 500; n += 1) files.push([`static/i${n}.png`, `\u0089PNG ${n}`]);
  return files;
}

const CHINESE = '我家在上海东边每天早上坐地铁去学校老师说今天要考试';

function deepProblems(): Files {
  const said = (n: number): string =>
    Array.from({ length: 20 }, (_, i) => CHINESE[(n * 3 + i * 5) % CHINESE.length]).join('');
  const problem = (n: number): string =>
    `<problem display_name="题目 ${n}">${'<div>'.repeat(40)}<p>${said(n)} \\(x^${n}\\)</p><multiplechoiceresponse><choicegroup>` +
    times(30, (i) => `<choice correct="${i === n % 30}">${said(n + i)} — ñandú, straße, ${i}</choice>`) +
    `</choicegroup><solution><p>${said(n + 1)}</p></solution></multiplechoiceresponse>${'</div>'.repeat(40)}</problem>`;
  const files: Files = [courseOf(3_000, (n) => `<problem url_name="p${n}"/>`)];
  for (let n = 0; n < 3_000; n += 1) files.push([`problem/p${n}.xml`, problem(n)]);
  return files;
}

/** Four courses that differ in what they have most of. */
export const generatedCourses: readonly GeneratedCourse[] = [
  { name: 'many small lessons', nodes: 4_400, make: () => tarOf(smallLessons()) },
  { name: 'lessons with large pages', nodes: 3_300, make: () => tarOf(largePages()) },
  { name: 'many files', nodes: 3_300, make: () => tarOf(manyFiles()) },
  { name: 'deep problems in Chinese', nodes: 3_300, make: () => tarOf(deepProblems()) },
];
