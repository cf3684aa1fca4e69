// Whether a server answers, each asked in its own protocol and with nothing but sockets, so that no package is needed.
import { connect } from 'node:net';
import { command, succeeded } from './servers/mongo-wire.mjs';

/** Sends `hello` (may be empty) to a port and resolves to what comes back first; '' when nothing does within `ms`. */
export function converse({ host = '127.0.0.1', port, hello = '', ms = 1_500 }) {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(ms, () => finish(''));
    socket.on('connect', () => hello.length > 0 && socket.write(hello));
    socket.on('data', (data) => finish(data.toString('latin1')));
    socket.on('error', () => finish(''));
    socket.on('close', () => resolve(''));
  });
}

function accepts({ host = '127.0.0.1', port, ms = 1_500 }) {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(ms, () => finish(false));
    socket.on('connect', () => finish(true));
    socket.on('error', () => finish(false));
  });
}

/** The first message of PostgreSQL's protocol 3.0: who wants which database. */
export function postgresHello(user = 'postgres', database = 'postgres') {
  const words = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(words.length + 8, 0);
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, words]);
}

const PING = { ping: 1, $db: 'admin' };

/** The smallest write: a store that answers reads may have closed itself to writes. */
const touch = () => ({
  update: 'health',
  updates: [{ q: { _id: 'supervisor' }, u: { $set: { at: new Date() } }, upsert: true }],
  $db: 'coursewright',
});

const mongodb = async ({ port }, words) => succeeded(await converse({ port, hello: command(words) }));

/** The ways to ask; each takes the `ready` or `alive` object of a unit. */
const ways = {
  async http({ url }) {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.status === 200;
  },
  // Whatever it says, it lives.
  async live({ url }) {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return true;
  },
  speaks: async ({ port, hello = '' }) => (await converse({ port, hello })) !== '',
  mongodb: (ready) => mongodb(ready, touch()),
  mongodbPing: (ready) => mongodb(ready, PING),
  // R = authentication asked or granted; E = an error, such as "the database system is starting up".
  postgres: async ({ port }) => (await converse({ port, hello: postgresHello() })).startsWith('R'),
  redis: async ({ port }) => (await converse({ port, hello: 'PING\r\n' })).startsWith('+PONG'),
  nats: async ({ port }) => (await converse({ port })).startsWith('INFO '),
  tcp: accepts,
};

/** Whether the thing described by `{how, url | port, host}` answers now; never throws. */
export async function isReady(ready) {
  try {
    return await ways[ready.how](ready);
  } catch {
    return false;
  }
}
