// How commands talk to the supervisor in the background: HTTP on a loopback port, with a secret only the owner can read.
import { timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { readJson } from './files.mjs';
import { isAlive } from './pids.mjs';
import { Refusal } from './steps.mjs';

const MAX_BODY = 4 * 1024 * 1024;

/** Where the running supervisor is: `{pid, started, port, secret}`; null when none runs. */
export function runningSupervisor(folder) {
  const record = readJson(join(folder, 'supervisor.json'));
  return isAlive(record) ? record : null;
}

/** Asks the supervisor to do something and resolves to its answer; what it refuses is thrown as a Refusal. */
export async function ask({ port, secret }, verb, body = {}) {
  const response = await fetch(`http://127.0.0.1:${port}/${verb}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (response.status === 409) throw new Refusal(answer.message);
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

function authorised(request, secret) {
  const given = Buffer.from(request.headers.authorization ?? '');
  const wanted = Buffer.from(`Bearer ${secret}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

async function bodyOf(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > MAX_BODY) throw new Error('too much');
    parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString('utf8') || '{}');
}

/** Serves `verbs` (`{name: async (body) => answer}`) on the port until the returned server is closed. */
export function serveControl({ port, secret, verbs }) {
  const server = createServer(async (request, response) => {
    const reply = (status, answer) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? {}));
    };
    try {
      const verb = verbs[request.url.slice(1)];
      if (!authorised(request, secret)) return reply(401, { message: 'not authorised' });
      if (!verb || request.method !== 'POST') return reply(404, { message: 'no such verb' });
      return reply(200, await verb(await bodyOf(request)));
    } catch (error) {
      return reply(error instanceof Refusal ? 409 : 500, { message: error.message });
    }
  });
  server.requestTimeout = 0;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
