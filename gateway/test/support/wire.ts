import { connect, type Socket } from 'node:net';
import type { System } from './system.js';

/** One connection whose bytes the test decides: fetch would not send halves. */
export interface Wire {
  readonly socket: Socket;
  /** All that has come. */
  text(): string;
  send(text: string | Buffer): void;
  /** Resolves to all that came, once the other side has closed. */
  readonly closed: Promise<string>;
  /** The status of the final answer, as soon as it is there; -1 when the connection ends without one. */
  readonly status: Promise<number>;
}

export function openWire(system: Pick<System, 'origin'>): Wire {
  let text = '';
  let tell: (status: number) => void = () => undefined;
  const status = new Promise<number>((resolve) => (tell = resolve));
  const socket = connect(Number(new URL(system.origin).port), '127.0.0.1');
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    const found = [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => Number(code)).find((code) => code >= 200);
    if (found !== undefined) tell(found);
  });
  socket.on('error', () => undefined);
  const closed = new Promise<string>((resolve) =>
    socket.on('close', () => {
      tell(-1);
      resolve(text);
    }),
  );
  return { socket, text: () => text, send: (more) => void socket.write(more), closed, status };
}

/** The head of a request: its line and its headers. */
export function headOf(line: string, headers: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries({ host: 'gateway.test', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
