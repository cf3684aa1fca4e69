// Ports are chosen once, below the range from which the system hands out ports to clients: a client that retries an
// ephemeral port could connect to itself and so keep the server from coming back.
import { createServer } from 'node:net';
import { readJson, writeJson } from './files.mjs';
import { replicasOf } from './names.mjs';

const FIRST = 20_000;
const LAST = 29_999;
const GATEWAY = 8080;

const services = ['catalog', 'content', 'review', 'versioning', 'deployment'];
const withOps = (names) => names.flatMap((name) => [name, `${name}-ops`]);

/** The names that get a port, in the order in which they lie in their block; `<process>-ops` is for health, metrics and commands. */
export const portNames = ['control', 'postgres', 'mongodb', 'redis', 'nats', ...withOps(services), 'gateway-ops'];

/** The names of the blocks of ports, one for each further replica of every service: a block stays what it is when their number changes. */
function furtherBlocks(replicas) {
  return Array.from({ length: replicas - 1 }, (_, index) =>
    withOps(services.map((name) => replicasOf(name, replicas)[index + 1])),
  );
}

function listens(port, host) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Whether nobody listens on the port, neither on the loopback address nor on all. */
export async function isFree(port) {
  return (await listens(port, '127.0.0.1')) && (await listens(port, '0.0.0.0'));
}

/** Finds a block of neighbouring free ports, from a random place on: `{name: port}`. */
export async function chooseBlock(names, { free = isFree, random = Math.random } = {}) {
  const blocks = Math.floor((LAST - FIRST + 1) / names.length);
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = FIRST + Math.floor(random() * blocks) * names.length;
    const ports = names.map((_, index) => first + index);
    const answers = await Promise.all(ports.map((port) => free(port)));
    if (answers.every(Boolean)) return Object.fromEntries(names.map((name, index) => [name, ports[index]]));
  }
  throw new Error(`no ${names.length} free ports side by side between ${FIRST} and ${LAST}`);
}

/** The gateway's port: the remembered one while it is free, else 8080, else the next free one. */
export async function chooseGatewayPort(remembered, { free = isFree } = {}) {
  if (remembered && (await free(remembered))) return remembered;
  for (let port = GATEWAY; port < GATEWAY + 200; port++) if (await free(port)) return port;
  throw new Error(`no free port for the gateway from ${GATEWAY} on`);
}

/** The kept ports of these names while all of them are there and free, else a new block; none of `taken` is in it. */
async function keptOrNew(names, { kept, taken, free, random }) {
  const unused = async (port) => !taken.includes(port) && free(port);
  const block = Object.fromEntries(names.map((name) => [name, kept[name]]));
  const answers = await Promise.all(Object.values(block).map((port) => Number.isInteger(port) && unused(port)));
  return answers.every(Boolean) ? block : chooseBlock(names, { free: unused, random });
}

/**
 * The ports of this checkout for so many replicas of each service, kept in `file` (also those that are not wanted now). Only to be asked while the
 * system is down: a remembered block of which a port is taken now (another checkout came first) is given up for a new one.
 */
export async function portsOf(file, { replicas = 1, free = isFree, random = Math.random } = {}) {
  const kept = readJson(file) ?? {};
  let ports = {};
  for (const names of [portNames, ...furtherBlocks(replicas)])
    ports = { ...ports, ...(await keptOrNew(names, { kept, taken: Object.values(ports), free, random })) };
  ports.gateway = await chooseGatewayPort(kept.gateway, { free });
  writeJson(file, { ...kept, ...ports });
  return ports;
}

/** Ports for a system that lives as long as a test: all of them from the range, nothing remembered. */
export function passingPorts({ replicas = 1, ...options } = {}) {
  return chooseBlock([...portNames, ...furtherBlocks(replicas).flat(), 'gateway'], options);
}
