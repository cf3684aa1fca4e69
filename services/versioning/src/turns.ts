import { createPace } from '@coursewright/platform/pace';

/**
 * One pace for all that reads trees in this process. What is answered from memory never waits for anything else, and a course can have
 * 100,000 nodes: without it one reader would keep all others waiting.
 */
export const turn = createPace();
