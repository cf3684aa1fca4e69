import type { Route } from '../http/route.js';
import { assetRoutes } from './assets.js';
import { branchRoutes } from './branches.js';
import { childrenRoutes } from './children.js';
import { compareRoutes } from './compare.js';
import { courseRoutes } from './courses.js';
import { documentRoutes } from './documents.js';
import { historyRoutes } from './history.js';
import { importRoutes } from './imports.js';
import { lessonRoutes } from './lessons.js';
import { nodeRoutes } from './nodes.js';

/** Every route of the public API: the one source of routing, validation, permissions and documentation. */
export function createRoutes(publicUrl: string): readonly Route[] {
  const all: readonly Route[] = [
    ...courseRoutes,
    ...lessonRoutes,
    ...nodeRoutes,
    ...childrenRoutes,
    ...importRoutes,
    ...assetRoutes,
    ...historyRoutes,
    ...compareRoutes,
    ...branchRoutes,
    ...documentRoutes(publicUrl, () => all),
  ];
  return all;
}
