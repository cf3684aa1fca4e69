import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { projectLesson } from '@coursewright/course-model/project-lesson';
import type { Archive } from '../src/domain/archive.js';
import type { PlannedNode } from '../src/domain/import-plan.js';
import { emptyReport } from '../src/domain/import-report.js';
import { archiveFrom, readAll } from './support.js';

const FOLDER = new URL('../../../samples/spanish-a1', import.meta.url).pathname;

function folder(path: string): Archive {
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((name) => statSync(name).isFile());
  const paths = files.map((name) => relative(path, name));
  return archiveFrom(new Map(paths.map((name) => [name, readFileSync(join(path, name))])));
}

describe('the sample course of this repository', () => {
  let report = emptyReport();
  let nodes: PlannedNode[] = [];
  beforeAll(async () => {
    ({ nodes, report } = await readAll(folder(FOLDER), '0190a000-0000-7000-8000-000000000001'));
  });

  it('is read whole, with nothing but its files and pages about it left over', () => {
    expect(report.counts).toEqual({ units: 3, modules: 12, lessons: 40, assignments: 2 });
    expect(report).toMatchObject({ items: 175, read: 233, mapped: 231, kept: 2 });
    const rest = report.losses.filter((loss) => !/^(static|about|policies)\//.test(loss.source));
    expect(rest.map((loss) => loss.source)).toEqual([
      'course/a1',
      'html/a01-notes-for-graders',
      'html/a02-notes-for-graders',
    ]);
  });

  it('has the fields, assignments and objectives that it says', () => {
    expect(nodes[0]?.fields).toMatchObject({
      title: expect.stringContaining('A1'),
      cefrLevel: 'A1',
      language: 'en',
      tags: expect.any(Array),
    });
    const assignments = nodes.filter((node) => node.kind === 'assignment');
    expect(assignments.map((node) => node.fields['submittable'])).toEqual([true, true]);
    for (const node of assignments) expect(node.content?.objectives?.length).toBeGreaterThan(0);
  });

  it('shows learners every question, and neither answers nor notes for graders', () => {
    let questions = 0;
    for (const node of nodes.filter(({ content }) => content)) {
      const stored = normalizeLesson(node.content, null, () => '');
      if (!stored.ok) throw new Error(JSON.stringify([node.source, stored.problems]));
      const shown = projectLesson(stored.body.doc, 'learner');
      const text = JSON.stringify(shown);
      expect(text).not.toMatch(/<solution|correct=|notes-for-graders/);
      questions += [...text.matchAll(/"type":"(dropdown|short-text|number|choice|multiple-choice)","html"/g)].length;
    }
    expect(questions).toBe(258);
  });
});
