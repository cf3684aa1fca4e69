import { Agent, request } from 'node:http';
import { quantile } from './report.js';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Sends one request over a kept connection. */
export function send(agent: Agent, { method, url, headers, body }: HttpRequest): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      {
        method,
        agent,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
        response.on('error', reject);
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

/** What a closed loop of clients saw. Times in milliseconds. */
export interface LoadResult {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly count: number;
}

export interface LoadOptions {
  readonly clients: number;
  readonly seconds: number;
  /** Seconds of warming up that are not counted. */
  readonly warmUp?: number;
  /** One request of one client. Throw to stop the run: a failed request is not a measurement. */
  readonly step: (client: number, agent: Agent) => Promise<void>;
}

/** Each client sends its next request when the last one has been answered. */
export async function closedLoop({ clients, seconds, warmUp = 1, step }: LoadOptions): Promise<LoadResult> {
  const times: number[] = [];
  const from = performance.now() + warmUp * 1000;
  const until = from + seconds * 1000;
  const loop = async (client: number): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (;;) {
      const started = performance.now();
      if (started >= until) break;
      await step(client, agent);
      if (started >= from) times.push(performance.now() - started);
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => loop(client)));
  return {
    perSecond: times.length / seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    count: times.length,
  };
}
