import { handleTasks } from '@coursewright/platform/worker-tasks';
import { checkSent, diffPairs, normalizeBody, projectBody, renderBody } from './domain/body-tasks.js';

/** The file of content's threads: what is done with documents that would hold the main thread too long. */
export const handle = handleTasks({ normalizeBody, checkSent, projectBody, renderBody, diffPairs });
