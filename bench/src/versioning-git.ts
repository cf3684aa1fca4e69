import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TreeSpec } from '@coursewright/versioning/domain/build-tree';
import type { BenchCourse } from './versioning-course.js';

/** The same course in git: a folder for each node with its fields in `node.json`, lessons as files. */
export class GitCourse {
  readonly #dir = mkdtempSync(join(tmpdir(), 'bench-git-'));
  #commits = 0;

  static async load({ spec }: BenchCourse): Promise<GitCourse> {
    const git = new GitCourse();
    await git.run(['init', '--quiet', '--bare', '--initial-branch=main', '.']);
    // Loose objects, as a commit by git writes them, whatever the number of files.
    await git.run(['config', 'fastimport.unpackLimit', '1000']);
    const files: string[] = [];
    const walk = (node: TreeSpec, path: string): void => {
      const head = content({
        fields: node.fields,
        body: node.body ?? null,
        order: (node.children ?? []).map(({ id }) => id),
      });
      if (node.kind === 'lesson') files.push(`M 100644 inline ${path}.json\n${head}`);
      else files.push(`M 100644 inline ${path}${path === '' ? '' : '/'}node.json\n${head}`);
      for (const child of node.children ?? []) walk(child, path === '' ? child.id : `${path}/${child.id}`);
    };
    walk(spec, '');
    await git.#import(files, '');
    await git.run(['gc', '--quiet']);
    return git;
  }

  /** One commit with these lessons edited. */
  async edit(lessons: readonly (readonly string[])[], body: string): Promise<void> {
    const files = lessons.map(
      (path) =>
        `M 100644 inline ${path.join('/')}.json\n${content({ fields: { title: 'Edited', durationMinutes: 45 }, body })}`,
    );
    await this.#import(files, 'from refs/heads/main^0\n');
  }

  async #import(files: readonly string[], from: string): Promise<void> {
    this.#commits++;
    const message = `Commit ${this.#commits}`;
    const input = `commit refs/heads/main\ncommitter Bench <b@b> now\ndata ${message.length}\n${message}\n${from}${files.join('')}\ndone\n`;
    await this.run(['fast-import', '--quiet', '--done', '--date-format=now'], input);
  }

  branch(name: string): Promise<string> {
    return this.run(['update-ref', `refs/heads/${name}`, 'refs/heads/main']);
  }

  diff(): Promise<string> {
    return this.run(['diff-tree', '-r', 'refs/heads/main~1', 'refs/heads/main']);
  }

  /** The heads of these nodes, by one process. */
  heads(paths: readonly string[]): Promise<string> {
    return this.run(['cat-file', '--batch'], paths.map((path) => `main:${path}\n`).join(''));
  }

  /** Bytes of all loose objects. */
  looseBytes(): number {
    const objects = join(this.#dir, 'objects');
    const folders = readdirSync(objects).filter((name) => /^[0-9a-f]{2}$/.test(name));
    return folders.reduce(
      (sum, folder) =>
        readdirSync(join(objects, folder)).reduce(
          (inner, file) => inner + statSync(join(objects, folder, file)).size,
          sum,
        ),
      0,
    );
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  run(args: readonly string[], input = ''): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = spawn('git', ['-c', 'gc.auto=0', ...args], { cwd: this.#dir, stdio: ['pipe', 'pipe', 'pipe'] });
      let out = '';
      let errors = '';
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
      child.on('error', reject);
      child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`git ${args[0]}: ${errors}`))));
      // A command that reads nothing may be gone before the end of its input is written.
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
    });
  }
}

function content(value: unknown): string {
  const text = JSON.stringify(value, null, 1) + '\n';
  return `data ${Buffer.byteLength(text)}\n${text}\n`;
}
