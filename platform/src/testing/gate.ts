import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to a server that a test can cut and hold, while others go on with the server itself. */
export interface Gate {
  readonly url: string;
  /** Ends all connections and takes no new ones. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  /** Passes nothing on for so long; connections stay. */
  hold(ms: number): void;
  close(): Promise<void>;
}

/** Opens a gate before the server of a URL. */
export async function openGate(target: string): Promise<Gate> {
  const { protocol, hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let isHeld = false;
  const server = createServer((client) => {
    const up = connect(Number(port), hostname);
    const ways: [Socket, Socket][] = [
      [client, up],
      [up, client],
    ];
    for (const [from, to] of ways) {
      sockets.add(from);
      from.on('data', (data) => void to.write(data));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      if (isHeld) from.pause();
    }
  });
  const listen = (on: number): Promise<void> => new Promise((resolve) => server.listen(on, '127.0.0.1', resolve));
  await listen(0);
  const own = (server.address() as AddressInfo).port;
  const cut = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    url: `${protocol}//127.0.0.1:${own}`,
    cut,
    mend: () => listen(own),
    hold(ms) {
      isHeld = true;
      for (const socket of sockets) socket.pause();
      setTimeout(() => {
        isHeld = false;
        for (const socket of sockets) socket.resume();
      }, ms);
    },
    close: () => (server.listening ? cut() : Promise.resolve()),
  };
}
