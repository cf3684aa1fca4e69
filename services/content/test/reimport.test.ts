import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LessonDocument } from '@coursewright/course-model/lesson';
import { normalizeLesson } from '@coursewright/course-model/normalize-lesson';
import { newId, toHash } from '@coursewright/platform/ids';
import { ImportBook } from '../src/domain/import-report.js';
import type { ImportJob, Imports } from '../src/operations/ports.js';
import { runImport } from '../src/operations/run-import.js';
import { createImportLines } from '../src/store/import-lines.js';
import { FakeServices } from './fake-versioning.js';
import { caseBytes, fieldCase } from './field-support.js';
import { author, ImportWorld } from './import-world.js';
import { newImport, streamOf, tarOf } from './support.js';

let world: ImportWorld;
beforeAll(async () => {
  world = await ImportWorld.start();
});
afterAll(() => world.stop());

describe('a source that is imported again', () => {
  const olx = (inner: string, title = 'T', run = 'c') =>
    tarOf([['course.xml', `<course url_name="${run}" display_name="${title}">${inner}</course>`]]);
  const unit = (name: string, inner: string) =>
    `<chapter url_name="${name}"><sequential url_name="m-${name}">${inner}</sequential></chapter>`;
  const lesson = (name: string, inner: string) =>
    `<vertical url_name="${name}" display_name="${name}">${inner}</vertical>`;
  const html = (name: string, text: string) => `<html url_name="${name}">${text}</html>`;

  /** Imports into a course, or into a new one; answers the job as it ended, or the reason why it did not. */
  async function bring(
    bytes: Buffer,
    courseId?: string,
    meanwhile?: () => unknown,
  ): Promise<ImportJob & { reason?: string }> {
    const own = { ...world.deps(), step: { ops: 3, bodies: 2 } };
    const id = newId();
    await own.spool.write(id, streamOf(bytes), 1e9);
    const spoolId = await own.spool.id();
    const made = { id, courseId: courseId ?? newId(), newCourse: courseId === undefined, spoolId };
    const { job } = await world.imports.create(newImport(made), author, undefined);
    const watched = Object.assign(Object.create(world.imports) as Imports, {
      saveStep: async (...args: Parameters<Imports['saveStep']>) => {
        const kept = await world.imports.saveStep(...args);
        await meanwhile?.();
        return kept;
      },
    });
    const book = new ImportBook();
    const reason = await runImport({ ...own, imports: watched }, job, new AbortController().signal, book).then(
      () => undefined,
      (error: { reason?: string; message: string }) => error.reason ?? error.message,
    );
    await own.spool.remove(id);
    return { ...((await world.imports.find(id)) ?? job), ...(reason === undefined ? {} : { reason }) };
  }

  const tree = (courseId: string) => [...(world.fakes.courses.get(courseId)?.nodes.values() ?? [])];
  const find = (courseId: string, key: string) => tree(courseId).find((node) => node.source.key === key);
  async function docOf(courseId: string, key: string): Promise<LessonDocument> {
    return world.bodies.get(courseId, find(courseId, key)?.body ?? '');
  }
  const childKeys = (courseId: string, key: string) =>
    tree(courseId)
      .filter((node) => node.parentId === find(courseId, key)?.id)
      .map((node) => node.source.key);

  it('changes nothing when it is the same, and makes no commit', async () => {
    world.fakes = new FakeServices();
    const bytes = await olx(unit('a', lesson('l', html('h', 'x'))) + unit('b', lesson('k', html('i', 'y'))));
    const first = await bring(bytes);
    const before = tree(first.courseId).map((node) => ({ ...node }));
    const { head } = world.fakes.courses.get(first.courseId) ?? {};
    const second = await bring(bytes, first.courseId);
    expect(second).toMatchObject({ state: 'done', commit: head });
    expect(tree(first.courseId)).toEqual(before);
  });

  it('updates, moves, adds and reorders by source, and keeps every id', async () => {
    world.fakes = new FakeServices();
    const first = await bring(
      await olx(
        unit('a', lesson('l', html('h', 'old') + html('g', 'same')) + lesson('k', html('i', 'y'))) + unit('b', ''),
      ),
    );
    const ids = new Map(tree(first.courseId).map((node) => [node.source.key, node.id]));
    const items = (await docOf(first.courseId, 'vertical/l')).materials.map((item) => item.id);
    const next = await bring(
      await olx(
        unit('b', lesson('k', html('i', 'y'))) +
          unit(
            'a',
            lesson('new', html('j', 'z')) +
              `<vertical url_name="l" display_name="Titled">${html('g', 'same')}${html('h', 'new')}</vertical>`,
          ),
        'Renamed',
      ),
      first.courseId,
    );
    expect(next).toMatchObject({ state: 'done' });
    for (const [key, id] of ids) expect(find(first.courseId, key)?.id).toBe(id);
    expect(childKeys(first.courseId, 'sequential/m-b')).toEqual(['vertical/k']);
    expect(childKeys(first.courseId, 'sequential/m-a')).toEqual(['vertical/new', 'vertical/l']);
    expect(
      tree(first.courseId)
        .filter((node) => node.kind === 'unit')
        .map((node) => node.source.key),
    ).toEqual(['chapter/b', 'chapter/a']);
    expect(find(first.courseId, 'vertical/l')?.fields['title']).toBe('Titled');
    expect(world.fakes.courses.get(first.courseId)?.fields['title']).toBe('Renamed');
    const doc = await docOf(first.courseId, 'vertical/l');
    expect(doc.materials.map((item) => [item.id, item.content])).toEqual([
      [items[1], 'same'],
      [items[0], 'new'],
    ]);
  });

  it('drops nothing that somebody wrote here or that the source no longer has', async () => {
    world.fakes = new FakeServices();
    const first = await bring(await olx(unit('a', lesson('l', html('h', 'old')) + lesson('gone', html('i', 'y')))));
    const doc = await docOf(first.courseId, 'vertical/l');
    const written = normalizeLesson({ ...doc, exercises: [{ type: 'own', content: 'mine' }] }, doc, newId);
    if (!written.ok) throw new Error('unfit');
    await world.bodies.putMany(first.courseId, [written.body]);
    const node = find(first.courseId, 'vertical/l');
    world.fakes.courses.get(first.courseId)?.nodes.set(node?.id ?? '', { ...node!, body: toHash(written.body.hash) });
    const next = await bring(await olx(unit('a', lesson('l', html('h', 'new')))), first.courseId);
    expect(next.report.losses).toMatchObject([{ source: 'vertical/gone', kept: true }]);
    expect(find(first.courseId, 'vertical/gone')).toBeDefined();
    const after = await docOf(first.courseId, 'vertical/l');
    expect([after.materials[0]?.content, after.exercises[0]?.content]).toEqual(['new', 'mine']);
    expect(after.order).toEqual([doc.materials[0]?.id, written.body.doc.exercises[0]?.id]);
  });

  it('is refused when the course moved on meanwhile, with nothing done', async () => {
    world.fakes = new FakeServices();
    const first = await bring(await olx(unit('a', lesson('l', html('h', 'old')))));
    const before = tree(first.courseId);
    const next = await bring(await olx(unit('a', lesson('l', html('h', 'new')))), first.courseId, () => {
      const course = world.fakes.courses.get(first.courseId);
      if (course) course.head = 'x'.repeat(43);
    });
    expect(next.reason).toBe('STALE');
    expect(tree(first.courseId)).toEqual(before);
  });

  it('is added as new where the course holds nothing of it', async () => {
    world.fakes = new FakeServices();
    const first = await bring(await olx(unit('a', lesson('l', html('h', 'x')))));
    const second = await bring(await olx(unit('z', lesson('q', html('r', 'x')))), first.courseId);
    expect(second).toMatchObject({ state: 'done' });
    expect(tree(first.courseId).filter((node) => node.kind === 'unit')).toHaveLength(2);
    expect(second.report.losses.map(({ source }) => source)).toEqual(['chapter/a', 'sequential/m-a', 'vertical/l']);
    expect(world.fakes.courses.get(first.courseId)?.fields['title']).toBe('T');
  });

  it('is added as new where another source has parts of the same names', async () => {
    world.fakes = new FakeServices();
    const first = await bring(await olx(unit('a', lesson('l', html('h', 'one')))));
    const other = await olx(unit('a', lesson('l', html('h', 'two'))), 'Other', 'other-run');
    const second = await bring(other, first.courseId);
    expect(second).toMatchObject({ state: 'done', report: { losses: [] } });
    expect(tree(first.courseId).filter((node) => node.source.key === 'vertical/l')).toHaveLength(2);
    // Each is found again by its own.
    const third = await bring(
      await olx(unit('a', lesson('l', html('h', 'three'))), 'Other', 'other-run'),
      first.courseId,
    );
    expect(third).toMatchObject({ state: 'done', report: { losses: [] } });
    const docs = await Promise.all(
      tree(first.courseId)
        .filter((node) => node.source.key === 'vertical/l')
        .map(async (node) => (await world.bodies.get(first.courseId, node.body ?? '')).materials[0]?.content),
    );
    expect(docs).toEqual(['one', 'three']);
  });

  /** Somebody edits the text of an item here. */
  async function edit(courseId: string, content: string, key = 'vertical/l'): Promise<void> {
    const doc = await docOf(courseId, key);
    const materials = doc.materials.map((item) => ({ ...item, content }));
    const edited = normalizeLesson({ ...doc, materials }, doc, newId);
    if (!edited.ok) throw new Error('unfit');
    await world.bodies.putMany(courseId, [edited.body]);
    const node = find(courseId, key);
    const fields = { ...node?.fields, title: 'Renamed here' };
    world.fakes.courses.get(courseId)?.nodes.set(node?.id ?? '', { ...node!, fields, body: toHash(edited.body.hash) });
  }
  const contentOf = async (courseId: string) => (await docOf(courseId, 'vertical/l')).materials[0]?.content;
  const said = (job: ImportJob) => job.report.losses.map(({ source, what }) => `${source} ${what}`);

  it('leaves an edit that was made here, and names it, as often as it comes', async () => {
    world.fakes = new FakeServices();
    const bytes = await olx(unit('a', lesson('l', html('h', 'first')) + lesson('k', html('i', 'y'))));
    const { courseId } = await bring(bytes);
    await edit(courseId, 'edited here');
    for (let again = 0; again < 2; again++) {
      const next = await bring(bytes, courseId);
      expect(next).toMatchObject({ state: 'done' });
      expect(said(next)).toEqual([
        'vertical/l was edited here (title); that stays',
        'vertical/l was edited here (content); that stays',
      ]);
    }
    const corrected = await olx(unit('a', lesson('l', html('h', 'first')) + lesson('k', html('i', 'corrected'))));
    expect(await bring(corrected, courseId)).toMatchObject({ state: 'done' });
    expect((await docOf(courseId, 'vertical/k')).materials[0]?.content).toBe('corrected');
    expect(await contentOf(courseId)).toBe('edited here');
    expect(find(courseId, 'vertical/l')?.fields['title']).toBe('Renamed here');
  });

  fieldCase('leaves the edit of a real archive that comes again, and names it (reimport-a)', async () => {
    world.fakes = new FakeServices();
    const { courseId } = await bring(caseBytes('reimport-a'));
    const doc = await docOf(courseId, 'vertical/v1');
    const [intro] = doc.materials;
    await edit(courseId, '<p>Edited here.</p>', 'vertical/v1');
    const next = await bring(caseBytes('reimport-a'), courseId);
    expect(next).toMatchObject({ state: 'done' });
    expect(said(next)).toEqual([
      'vertical/v1 was edited here (title); that stays',
      'vertical/v1 was edited here (content); that stays',
    ]);
    expect((await docOf(courseId, 'vertical/v1')).materials).toMatchObject([
      { id: intro?.id, content: '<p>Edited here.</p>' },
    ]);
    expect(find(courseId, 'vertical/v1')?.fields['title']).toBe('Renamed here');
  });

  it('is refused with the list of what was edited here and changed in the source, and changes nothing', async () => {
    world.fakes = new FakeServices();
    const course = (text: string, other: string) =>
      olx(
        unit(
          'a',
          `<vertical url_name="l" display_name="${text}">${html('h', text)}</vertical>` + lesson('k', html('i', other)),
        ),
      );
    const { courseId } = await bring(await course('first', 'y'));
    await edit(courseId, 'edited here');
    // The edit was kept once: that does not make it the source's.
    expect(await bring(await course('first', 'z'), courseId)).toMatchObject({ state: 'done' });
    const before = tree(courseId).map((node) => ({ ...node }));
    const next = await bring(await course('second', 'w'), courseId);
    expect(next.reason).toBe('STALE');
    expect(tree(courseId)).toEqual(before);
    const lines = await createImportLines(world.sql).losses(next, { from: 0, limit: 10 });
    expect(lines.map(({ source, what }) => `${source} ${what}`)).toEqual([
      'vertical/l was edited here (title) and has changed in its source since its last import',
      'vertical/l was edited here (content) and has changed in its source since its last import',
    ]);
  });

  describe('with objectives', () => {
    const course = (objectives: string, text = 'x') =>
      olx(unit('a', `<vertical url_name="l" coursewright_objectives="${objectives}">${html('h', text)}</vertical>`));
    const goals = async (courseId: string) => (await docOf(courseId, 'vertical/l')).objectives.map(({ text }) => text);

    /** Somebody gives the lesson other objectives here. */
    async function aim(courseId: string, ...texts: string[]): Promise<void> {
      const doc = await docOf(courseId, 'vertical/l');
      const edited = normalizeLesson({ ...doc, objectives: texts }, doc, newId);
      if (!edited.ok) throw new Error('unfit');
      await world.bodies.putMany(courseId, [edited.body]);
      const node = find(courseId, 'vertical/l')!;
      world.fakes.courses.get(courseId)?.nodes.set(node.id, { ...node, body: toHash(edited.body.hash) });
    }

    it('takes over a correction, and the id of what stayed the same', async () => {
      world.fakes = new FakeServices();
      const { courseId } = await bring(await course('Say helo|Ecoute\u0301'));
      const [, second] = (await docOf(courseId, 'vertical/l')).objectives;
      expect(await bring(await course('Say hello|Ecoute\u0301|Write'), courseId)).toMatchObject({ state: 'done' });
      expect(await goals(courseId)).toEqual(['Say hello', 'Ecout\u00e9', 'Write']);
      expect((await docOf(courseId, 'vertical/l')).objectives[1]).toEqual(second);
    });

    it('leaves what somebody made of them here while the source says the same', async () => {
      world.fakes = new FakeServices();
      const { courseId } = await bring(await course('one|two'));
      await aim(courseId, 'mine');
      expect(await bring(await course('one|two', 'new text'), courseId)).toMatchObject({ state: 'done' });
      expect(await goals(courseId)).toEqual(['mine']);
      expect(await contentOf(courseId)).toBe('new text');
    });

    it('is refused when they were changed both here and there, unless to the same', async () => {
      world.fakes = new FakeServices();
      const { courseId } = await bring(await course('one|two'));
      await aim(courseId, 'two');
      const refused = await bring(await course('three|two'), courseId);
      expect(refused.reason).toBe('STALE');
      expect(await world.imports.fail(refused, { reason: 'STALE', message: 'x' }, refused.report)).toBe(true);
      expect(await goals(courseId)).toEqual(['two']);
      expect(await bring(await course('two'), courseId)).not.toHaveProperty('reason');
      expect(await goals(courseId)).toEqual(['two']);
    });
  });

  it('is refused while another import of it into the same course is under way, and when one has just ended', async () => {
    world.fakes = new FakeServices();
    const { courseId } = await bring(await olx(unit('z', ''), 'Other', 'other'));
    const first = await olx(unit('a', lesson('l', html('h', 'x')) + lesson('k', html('i', 'y'))));
    const meanwhile: ImportJob[] = [];
    const one = await bring(first, courseId, async () => {
      if (meanwhile.length === 0) meanwhile.push(await bring(first, courseId));
    });
    expect(one).toMatchObject({ state: 'done' });
    expect(meanwhile).toMatchObject([{ reason: 'STALE' }]);
    await world.imports.fail(meanwhile[0]!, { reason: 'STALE', message: 'x' }, one.report);
    expect(childKeys(courseId, 'sequential/m-a')).toEqual(['vertical/l', 'vertical/k']);
    const start = { commit: 'c', sourceId: one.sourceId ?? '', baseImport: null };
    const made = newImport({ id: newId(), courseId, newCourse: false, spoolId: newId() });
    const { job } = await world.imports.create(made, author, undefined);
    expect(await world.imports.saveStart(job, start)).toBe('busy');
    expect(await world.imports.saveStart(job, { ...start, baseImport: one.id })).toBe('saved');
  });
});
