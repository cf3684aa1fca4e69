import { createLogger } from '@coursewright/platform/logger';
import { run } from '@coursewright/platform/run';
import { readCatalogConfig } from './config.js';
import { createService } from './service.js';

const config = readCatalogConfig(process.env);
await run(await createService(config), process, createLogger('catalog', config.logLevel, config.instance));
