import { narrowed } from './audience.js';
import { PAGE_LISTS, type Audience, type LessonDocument } from './lesson.js';
import { audienceOfField } from './project-lesson.js';

/**
 * Something that a document points at: a stored file by its hash, a node of a course by its id, or a file that an import
 * named but that has no hash yet (`static`, by its name).
 */
export interface Reference {
  kind: 'asset' | 'node' | 'static';
  target: string;
  /** JSON pointer with the item's id in place of its index, e.g. `/materials/<id>`. */
  pointer: string;
  /** Who gets to see the reference: those who see the item and the field. */
  audience: Audience;
}

const HASH = '[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])';
const ID = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(?![0-9a-f-])';
const PATTERN = new RegExp(
  `(?:\\basset:|/assets/)(?<asset>${HASH})|(?:\\b(?:lesson|node):|/(?:lessons|nodes)/)(?<node>${ID})|/static/(?<static>[^\\s"'<>()?#\\\\]{1,200})`,
  'g',
);

/** The references of a document, each (kind, target, item, audience) once, in the order of the items. */
export function referencesOf(doc: LessonDocument): Reference[] {
  const found = new Map<string, Reference>();
  for (const list of ['objectives', ...PAGE_LISTS] as const) {
    for (const item of doc[list]) {
      for (const [field, value] of Object.entries(item)) {
        if (field === 'id' || field === 'source') continue;
        const audience = narrowed(item.audience, audienceOfField(list, field));
        const place = { pointer: `/${list}/${item.id}`, audience };
        for (const ref of scan(value)) {
          found.set(`${ref.kind} ${ref.target} ${place.pointer} ${audience}`, { ...ref, ...place });
        }
      }
    }
  }
  return [...found.values()];
}

function* scan(value: unknown): Generator<Pick<Reference, 'kind' | 'target'>> {
  if (typeof value === 'string') {
    for (const match of value.matchAll(PATTERN)) {
      const { asset, node, static: name } = match.groups ?? {};
      if (asset) yield { kind: 'asset', target: asset };
      else if (node) yield { kind: 'node', target: node };
      else if (name) yield { kind: 'static', target: name };
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) yield* scan(part);
  }
}
