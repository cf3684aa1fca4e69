import { describe, expect, it } from '@jest/globals';
import { opsServer } from '../src/ops.js';
import { own } from '../src/own.js';

const inherited = ['toString', 'valueOf', 'constructor', 'hasOwnProperty', '__proto__'];

describe('a name from outside', () => {
  it.each(inherited)('%s is what an object itself says, not what it inherits', (name) => {
    expect(own({}, name)).toBeUndefined();
    expect(own(undefined, name)).toBeUndefined();
    expect(own(JSON.parse(`{"${name}": 7}`) as Record<string, number>, name)).toBe(7);
  });

  it('runs no command of the operators that is none', async () => {
    const server = opsServer({
      host: '127.0.0.1',
      port: 0,
      checks: [],
      token: 'secret',
      commands: { known: async () => ({ done: true }) },
    });
    await server.start?.();
    try {
      const post = (name: string): Promise<Response> =>
        fetch(`http://127.0.0.1:${server.port()}/${name}`, {
          method: 'POST',
          headers: { authorization: 'Bearer secret' },
        });
      expect(await (await post('known')).json()).toEqual({ done: true });
      for (const name of [...inherited, 'unknown']) expect((await post(name)).status).toBe(404);
    } finally {
      await server.stop?.();
    }
  });
});
