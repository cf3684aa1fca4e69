import { createLogger } from '@coursewright/platform/logger';
import { run } from '@coursewright/platform/run';
import { readDeploymentConfig } from './config.js';
import { createService } from './service.js';

const config = readDeploymentConfig(process.env);
await run(await createService(config), process, createLogger('deployment', config.logLevel, config.instance));
