// The floor of the REST benchmarks: a bare Express 5 that says hello, with an id and a log line per request as the gateway has them.
import { randomUUID } from 'node:crypto';
import express from 'express';
import { createLogger } from '@coursewright/platform/logger';

const logger = createLogger('hello');
const app = express().disable('x-powered-by').set('etag', false);
app.use((request, response, next) => {
  const started = performance.now();
  const requestId = randomUUID();
  response.setHeader('x-request-id', requestId);
  response.on('finish', () => {
    logger.info(
      {
        requestId,
        method: request.method,
        route: '/hello',
        status: response.statusCode,
        ms: performance.now() - started,
      },
      'request',
    );
  });
  next();
});
app.get('/hello', (_request, response) => void response.json({ hello: 'world' }));
app.listen(Number(process.argv[2]), '127.0.0.1', () => process.send?.('ready'));
