import { connect } from 'node:net';
import { collectProcessMetrics } from '@coursewright/platform/metrics';
import { opsServer, type OpsCommand } from '@coursewright/platform/ops';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const token = 'a-token-that-nobody-guesses';

async function startOps(more: { token?: string; commands?: Record<string, OpsCommand> } = {}) {
  const server = opsServer({ host: '127.0.0.1', port: 0, checks: [], ...more });
  await server.start!();
  const url = `http://127.0.0.1:${server.port()}`;
  return { url, port: server.port(), stop: () => server.stop!() };
}

describe('the port of the operators', () => {
  let ran = 0;
  let ops: Awaited<ReturnType<typeof startOps>>;
  const commands = { rebuild: async () => ({ ran: ++ran }) };
  const post = (path: string, authorization?: string, body?: string) =>
    fetch(`${ops.url}/${path}`, {
      method: 'POST',
      headers: authorization === undefined ? {} : { authorization },
      ...(body === undefined ? {} : { body }),
    });
  beforeAll(async () => {
    ops = await startOps({ token, commands });
  });
  afterAll(() => ops.stop());

  it.each([
    ['no token', undefined],
    ['another token', 'Bearer a-token-that-somebody-guesse'],
    ['the token without its scheme', token],
    ['the token as a password', `Basic ${token}`],
    ['an empty token', 'Bearer '],
  ])('runs no command for %s', async (_, authorization) => {
    for (const path of ['rebuild', 'no-such-command', '']) {
      const answer = await post(path, authorization);
      expect([path, answer.status]).toEqual([path, 401]);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
    expect(ran).toBe(0);
  });

  it('runs a command for whoever has the token, and says when there is none of that name', async () => {
    expect(await (await post('rebuild', `Bearer ${token}`)).json()).toEqual({ ran: 1 });
    expect((await post('rebuild', `Bearer ${token}`, 'a few words')).status).toBe(200);
    for (const path of ['nothing', 'toString', 'constructor', '%00'])
      expect((await post(path, `Bearer ${token}`)).status).toBe(404);
  });

  it('runs no command at all where no token is set, whatever is sent', async () => {
    const open = await startOps({ commands });
    const before = ran;
    for (const authorization of ['', 'Bearer ', 'Bearer undefined', `Bearer ${token}`]) {
      const answer = await fetch(`${open.url}/rebuild`, { method: 'POST', headers: { authorization } });
      expect(answer.status).toBe(401);
    }
    expect(ran).toBe(before);
    await open.stop();
  });

  it('tells everybody whether it lives and what it measures', async () => {
    for (const path of ['livez', 'readyz', 'metrics']) expect((await fetch(`${ops.url}/${path}`)).status).toBe(200);
    expect((await fetch(`${ops.url}/rebuild`)).status).toBe(404);
  });

  it('takes no large body', async () => {
    const before = ran;
    const answer = await post('rebuild', `Bearer ${token}`, 'x'.repeat(200_000)).catch(() => undefined);
    // The rest is not waited for, so the client may not get to the answer.
    if (answer !== undefined) expect(answer.status).toBe(413);
    expect(ran).toBe(before);
  });

  it('takes eight commands at once and refuses a ninth', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let under = 0;
    const slow = await startOps({ token, commands: { slow: async () => ((under += 1), await held) } });
    const send = () =>
      fetch(`${slow.url}/slow`, { method: 'POST', headers: { authorization: `Bearer ${token}` } }).then(
        (r) => r.status,
      );
    const first = Array.from({ length: 8 }, send);
    while (under < 8) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await send()).toBe(503);
    release();
    expect(new Set(await Promise.all(first))).toEqual(new Set([200]));
    expect(await send()).toBe(200);
    await slow.stop();
  });

  it('lets go of a request that does not come in within ten seconds', async () => {
    const socket = connect(ops.port, '127.0.0.1');
    const begun = Date.now();
    socket.write(`POST /rebuild HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 9\r\n\r\nx`);
    await new Promise((resolve) =>
      socket
        .once('close', resolve)
        .resume()
        .on('error', () => undefined),
    );
    expect(Date.now() - begun).toBeLessThan(15_000);
  }, 20_000);

  it('knows how much memory the process may take', async () => {
    collectProcessMetrics('test', 256);
    const text = await (await fetch(`${ops.url}/metrics`)).text();
    expect(text).toMatch(/^memory_limit_bytes\{service="test"\} 268435456$/m);
    expect(text).toMatch(/^process_resident_memory_bytes/m);
  });
});
