import { run } from '@coursewright/platform/run';
import { configFrom } from './config.js';
import { createService } from './service.js';

const { parts, logger } = await createService(configFrom(process.env));
await run(parts, process, logger);
