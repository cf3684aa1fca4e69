import { run } from '@coursewright/platform/run';
import { readContentConfig } from './config.js';
import { createService } from './service.js';

const { parts, logger } = await createService(readContentConfig(process.env));
await run(parts, process, logger);
