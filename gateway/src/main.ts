import { ConfigError, readConfig } from '@coursewright/platform/config';
import { createLogger } from '@coursewright/platform/logger';
import { collectProcessMetrics } from '@coursewright/platform/metrics';
import { run } from '@coursewright/platform/run';
import { readGatewayConfig } from './config.js';
import { createGateway } from './service.js';

try {
  const config = readConfig(process.env, readGatewayConfig);
  const logger = createLogger('gateway', config.logLevel, config.instance);
  collectProcessMetrics('gateway');
  const { parts } = await createGateway(config, logger);
  await run(parts, process, logger);
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
