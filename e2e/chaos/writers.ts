import { setTimeout as sleep } from 'node:timers/promises';
import type { SmallCourse } from '../src/course.js';
import { textLesson } from '../src/course.js';
import type { Client, Told } from './client.js';
import type { Read, Write, WriteKind } from './history.js';
import { randomOf, type Random } from './random.js';

/** What the writers of one drill did, in the order in which they came to know of it. */
export interface Journal {
  readonly writes: Write[];
  readonly reads: Read[];
}

export interface WriterOptions {
  readonly name: string;
  readonly course: SmallCourse;
  readonly seed: number;
  readonly isKeyed: boolean;
  readonly client: Client;
  readonly journal: Journal;
  /** No new write is begun any more. */
  readonly isStopped: () => boolean;
  /** Not even an answer is waited for any more. */
  readonly isOver: () => boolean;
}

interface Target {
  readonly kind: WriteKind;
  readonly node: string;
  readonly branch: string;
}

const SHORTEST_PAUSE_MS = 40;
const PAUSE_MS = 120;
const MOST_BRANCHES = 3;
const MOST_ADDED = 25;

/** The text of a lesson's one material, in which each save leaves its id. */
interface LessonBody {
  readonly content: { readonly materials: readonly { readonly content: string }[] };
}

const firstPart = (etag: string): string => etag.replace(/^"|"$/g, '').split('.')[0]!;

/**
 * One author at work: saves lessons on the ETag that he read, adds, moves and renames nodes, makes branches and saves there. A keyed
 * one sends what was not answered again under its key; another one reads what is there and goes on.
 */
export class Writer {
  private readonly random: Random;
  private readonly etags = new Map<string, string>();
  private readonly lessons: string[];
  private readonly branches: string[] = [];
  private count = 0;
  private added = 0;

  constructor(private readonly options: WriterOptions) {
    this.random = randomOf(options.seed, options.name);
    this.lessons = [...options.course.lessons];
  }

  get name(): string {
    return this.options.name;
  }

  async run(): Promise<void> {
    while (!this.options.isStopped()) {
      await this.step();
      await sleep(SHORTEST_PAUSE_MS + this.random.below(PAUSE_MS));
    }
  }

  private step(): Promise<void> {
    const dice = this.random.next();
    const lesson = this.random.pick(this.lessons);
    if (dice < 0.55) return this.change({ kind: 'save', node: lesson, branch: '' });
    if (dice < 0.65 && this.branches.length > 0)
      return this.change({
        kind: 'save',
        node: this.random.pick(this.options.course.lessons),
        branch: this.random.pick(this.branches),
      });
    if (dice < 0.75) return this.change({ kind: 'rename', node: lesson, branch: '' });
    if (dice < 0.85) return this.change({ kind: 'move', node: lesson, branch: '' });
    if (dice < 0.95 && this.added < MOST_ADDED) return this.add();
    if (this.branches.length < MOST_BRANCHES) return this.makeBranch();
    return this.change({ kind: 'save', node: lesson, branch: '' });
  }

  private nextId(): string {
    this.count += 1;
    return `${this.options.name}-${this.count}`;
  }

  /** A write of something that is there, on its state as read now or, half of the time, as known from the last write. */
  private async change({ kind, node, branch }: Target): Promise<void> {
    const facet = `${kind === 'save' ? 'body' : 'self'} ${branch} ${node}`;
    const path = kind === 'save' ? `/lessons/${node}/content` : `/nodes/${node}`;
    const kept = this.random.next() < 0.5 ? this.etags.get(facet) : undefined;
    const read = kind === 'move' || kept === undefined ? await this.read(path, { kind, node, branch }) : undefined;
    const etag = read?.etag ?? kept;
    if (etag === undefined) return;
    const id = this.nextId();
    const parent = kind === 'move' ? this.options.course.modules.find((module) => module !== read?.parent)! : undefined;
    const json = kind === 'save' ? textLesson(id) : kind === 'rename' ? { title: id } : { parentId: parent };
    const told = await this.send(kind === 'save' ? 'PUT' : 'PATCH', path, {
      query: { message: id, ...(branch === '' ? {} : { branch }) },
      options: { json, headers: { 'if-match': etag } },
    });
    this.note({ id, kind, node, branch, ifMatch: firstPart(etag), ...(parent === undefined ? {} : { parent }) }, told);
    if (told.outcome === 'acknowledged') this.etags.set(facet, told.answer!.etag);
    else this.etags.delete(facet);
  }

  private async read(
    path: string,
    { kind, node, branch }: Target,
  ): Promise<{ etag: string; parent: string | undefined } | undefined> {
    const query = branch === '' ? '' : `?branch=${branch}`;
    const told = await this.options.client.once<LessonBody & { parentId?: string }>({
      method: 'GET',
      path: `${path}${query}`,
    });
    if (told.outcome !== 'acknowledged') return undefined;
    const { begin, end } = told.attempts[0]!;
    if (kind === 'save') {
      const saved = told.answer!.body.content.materials[0]?.content ?? '';
      this.options.journal.reads.push({ course: this.options.course.id, branch, node, begin, end, saved });
    }
    return { etag: told.answer!.etag, parent: told.answer!.body.parentId };
  }

  private async add(): Promise<void> {
    const id = this.nextId();
    const node = this.random.pick(this.options.course.modules);
    const isAssignment = this.random.next() < 0.3;
    const json = { title: id, ...(isAssignment ? { kind: 'assignment', fields: { submittable: true } } : {}) };
    const told = await this.send('POST', `/modules/${node}/lessons`, { query: { message: id }, options: { json } });
    const made = told.answer?.body.id ?? null;
    this.note({ id, kind: 'add', node, branch: '', isAssignment, made }, told);
    if (told.outcome !== 'acknowledged') return;
    this.added += 1;
    this.lessons.push(made!);
  }

  private async makeBranch(): Promise<void> {
    const id = this.nextId();
    const told = await this.send('POST', `/courses/${this.options.course.id}/branches`, {
      query: {},
      options: { json: { name: id } },
    });
    this.note({ id, kind: 'branch', node: this.options.course.id, branch: id }, told);
    if (told.outcome === 'acknowledged') this.branches.push(id);
  }

  private send(
    method: string,
    path: string,
    { query, options }: { query: Record<string, string>; options: { json: object; headers?: Record<string, string> } },
  ): Promise<Told<{ id?: string }>> {
    const { client, isKeyed, isOver } = this.options;
    const asked = { method, path: `${path}?${new URLSearchParams(query).toString()}`, options };
    return isKeyed ? client.insist(asked, isOver) : client.once(asked);
  }

  private note(
    write: Pick<Write, 'id' | 'kind' | 'node' | 'branch'> & Partial<Write>,
    { attempts, outcome, answer }: Told<unknown>,
  ): void {
    const isDone = outcome === 'acknowledged';
    this.options.journal.writes.push({
      made: null,
      ...write,
      course: this.options.course.id,
      isKeyed: this.options.isKeyed,
      attempts,
      outcome,
      commit: isDone ? (answer!.headers.get('commit') ?? null) : null,
      etag: isDone ? firstPart(answer!.etag) : null,
    });
  }
}
