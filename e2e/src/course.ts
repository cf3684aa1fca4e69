import type { Answer, Api } from './api.js';

/** A node as outlines show it. */
export interface OutlineNode {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly children: readonly OutlineNode[];
}

export interface ImportBody {
  readonly id: string;
  readonly state: string;
  readonly courseId: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly source: { readonly read: number; readonly mapped: number; readonly kept: number };
  readonly losses: readonly { readonly source: string; readonly what: string; readonly kept: boolean }[];
  readonly error: unknown;
}

/** Imports an archive, into a new course unless told, and waits until the job has ended. */
export async function importCourse(api: Api, archive: Uint8Array, course?: string): Promise<ImportBody> {
  const into = course === undefined ? '' : `&course=${course}`;
  const accepted = await api.send<ImportBody>('POST', `/imports?format=olx${into}`, {
    body: archive,
    headers: { 'content-type': 'application/gzip' },
  });
  if (accepted.status !== 202) throw new Error(`import refused: ${JSON.stringify(accepted.body)}`);
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    const { body } = await api.get<ImportBody>(`/imports/${accepted.body.id}`);
    if (body.state !== 'running') return body;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the import did not end');
}

export interface SmallCourse {
  readonly id: string;
  readonly unit: string;
  readonly modules: readonly string[];
  /** Lesson ids, module by module. */
  readonly lessons: readonly string[];
}

/** A new course by the public API: one unit, two modules, so many lessons in each. */
export async function makeCourse(api: Api, title: string, lessonsEach = 3): Promise<SmallCourse> {
  const post = async (path: string, json: unknown): Promise<string> => {
    const answer: Answer<{ id: string }> = await api.send('POST', path, { json });
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body.id;
  };
  const id = await post('/courses', { title, topic: 'testing' });
  const unit = await post(`/courses/${id}/units`, { title: 'Unit' });
  const modules = [
    await post(`/units/${unit}/modules`, { title: 'Module 1' }),
    await post(`/units/${unit}/modules`, { title: 'Module 2' }),
  ];
  const lessons: string[] = [];
  for (const module of modules) {
    for (let n = 0; n < lessonsEach; n += 1)
      lessons.push(await post(`/modules/${module}/lessons`, { title: `Lesson ${n + 1}` }));
  }
  return { id, unit, modules, lessons };
}

/** A lesson document with one text. */
export function textLesson(text: string): object {
  return {
    objectives: ['Know it'],
    materials: [{ type: 'text/markdown', content: text }],
    exercises: [],
    assessments: [],
  };
}

/** Saves a lesson on top of what is there now. */
export async function saveLesson(
  api: Api,
  lesson: string,
  text: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const { etag } = await api.get(`/lessons/${lesson}/content`);
  return api.send('PUT', `/lessons/${lesson}/content`, {
    json: textLesson(text),
    headers: { 'if-match': etag, ...headers },
  });
}
