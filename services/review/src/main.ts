import { createLogger } from '@coursewright/platform/logger';
import { run } from '@coursewright/platform/run';
import { readReviewConfig } from './config.js';
import { createService } from './service.js';

const config = readReviewConfig(process.env);
await run(await createService(config), process, createLogger('review', config.logLevel, config.instance));
