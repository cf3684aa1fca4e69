import { normalForm } from '../text.js';
import { LITTER } from './course-files.js';
import { DRAFTS, type OlxFiles } from './olx-files.js';

/** A vertical that was not published, or not as it stands there now. */
export interface Draft {
  name: string;
  /** Where it stands among the children of its sequential. */
  index: number;
}

const FOLDER = `${DRAFTS}vertical/`;
const FILE = /^([^/]+)\.xml$/;
const PATHS_A_TURN = 500;
/** Drafts that name no sequential. */
const NOWHERE = '';

/** The drafts of a course by the sequential that they belong to. */
export class Drafts {
  private readonly byParent = new Map<string, Draft[]>();

  /** Finds them by their files; each says itself where it belongs. Throws AppError unprocessable OLX_TOO_LARGE, OLX_TOO_DEEP. */
  static async read(files: OlxFiles): Promise<Drafts> {
    const drafts = new Drafts();
    const names: string[] = [];
    let n = 0;
    for (const path of files.files.paths()) {
      if (++n % PATHS_A_TURN === 0) await files.files.source.pause();
      const name =
        path.startsWith(FOLDER) && !LITTER.test(path) ? FILE.exec(path.slice(FOLDER.length))?.[1] : undefined;
      if (name !== undefined) names.push(name);
    }
    for (const name of names.sort()) {
      const parsed = await files.parse(`${FOLDER}${name}.xml`);
      files.close({ nodes: parsed?.nodes ?? 0 });
      const attributes = parsed?.root?.attribs ?? {};
      const parent = sequentialOf(attributes['parent_sequential_url'] ?? attributes['parent_url'] ?? '');
      const index = Number(attributes['index_in_children_list'] ?? Number.NaN);
      drafts.add(parent, { name, index: Number.isInteger(index) && index >= 0 ? index : Number.MAX_SAFE_INTEGER });
    }
    return drafts;
  }

  /** Those of a sequential, by their places; each is given once. */
  take(sequential: string): Draft[] {
    const found = this.byParent.get(sequential) ?? [];
    this.byParent.delete(sequential);
    return found.sort((one, other) => one.index - other.index);
  }

  /** Those that nobody has taken: their sequential is not in the course. */
  rest(): Draft[] {
    const left = [...this.byParent.values()].flat();
    this.byParent.clear();
    return left.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  private add(parent: string, draft: Draft): void {
    const siblings = this.byParent.get(parent);
    if (siblings) siblings.push(draft);
    else this.byParent.set(parent, [draft]);
  }
}

/** The name in `i4x://Org/C1/sequential/s1` or `block-v1:Org+C1+run+type@sequential+block@s1`. */
function sequentialOf(url: string): string {
  return normalForm(/(?:\/sequential\/|\+type@sequential\+block@)([^/?#]+)$/.exec(url)?.[1] ?? NOWHERE);
}
