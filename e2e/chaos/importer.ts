import { setTimeout as sleep } from 'node:timers/promises';
import { archiveOf } from '../src/olx.js';
import type { Client } from './client.js';
import type { ImportRun } from './history.js';

const CHAPTERS = 2;
const SEQUENTIALS = 2;
const VERTICALS = 8;

/** What each archive holds. */
export const importCounts = {
  units: CHAPTERS,
  modules: CHAPTERS * SEQUENTIALS,
  lessons: CHAPTERS * SEQUENTIALS * VERTICALS,
} as const;

const range = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** A course of its own in OLX, whose title is the id of the import. */
export function archiveNamed(id: string): Buffer {
  const files: Record<string, string> = {
    'course/course.xml': '<course url_name="run" org="Chaos" course="C1"/>',
    'course/course/run.xml': `<course display_name="${id}">${range(CHAPTERS)
      .map((n) => `<chapter url_name="c${n}"/>`)
      .join('')}</course>`,
  };
  for (const c of range(CHAPTERS)) {
    const sequentials = range(SEQUENTIALS).map((n) => `s${c}-${n}`);
    files[`course/chapter/c${c}.xml`] = element('chapter', `Chapter ${c}`, 'sequential', sequentials);
    for (const sequential of sequentials) {
      const verticals = range(VERTICALS).map((n) => `v${sequential}-${n}`);
      files[`course/sequential/${sequential}.xml`] = element('sequential', sequential, 'vertical', verticals);
      for (const vertical of verticals) {
        files[`course/vertical/${vertical}.xml`] = element('vertical', vertical, 'html', [`h${vertical}`]);
        files[`course/html/h${vertical}.xml`] = `<html filename="h${vertical}" display_name="Text"/>`;
        files[`course/html/h${vertical}.html`] = `<p>${vertical} of ${id}</p>`;
      }
    }
  }
  return archiveOf(files);
}

function element(name: string, title: string, child: string, names: readonly string[]): string {
  return `<${name} display_name="${title}">${names.map((one) => `<${child} url_name="${one}"/>`).join('')}</${name}>`;
}

/** One after another imports archives, each under a key until it is taken, as long as the drill goes on. */
export async function runImports(options: {
  readonly name: string;
  readonly client: Client;
  readonly runs: ImportRun[];
  readonly isStopped: () => boolean;
  readonly isOver: () => boolean;
}): Promise<void> {
  const { name, client, runs, isStopped, isOver } = options;
  for (let n = 1; !isStopped(); n += 1) {
    const id = `${name}-${n}`;
    const asked = {
      method: 'POST',
      path: '/imports?format=olx',
      options: { body: archiveNamed(id), headers: { 'content-type': 'application/gzip' } },
    };
    const { attempts, outcome, answer } = await client.insist<{ id: string }>(asked, isOver);
    const importId = outcome === 'acknowledged' ? answer!.body.id : null;
    runs.push({ id, attempts, outcome, importId });
    for (let state = 'running'; importId !== null && state === 'running' && !isStopped();) {
      await sleep(200);
      const told = await client.once<{ state: string }>({ method: 'GET', path: `/imports/${importId}` });
      if (told.outcome === 'acknowledged') state = told.answer!.body.state;
    }
    await sleep(500);
  }
}
