/** One answer of the gateway, its body read. */
export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
  readonly etag: string;
}

export interface RequestOptions {
  readonly json?: unknown;
  readonly body?: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** A client of the public API, as another program would write it: HTTP and JSON, nothing of ours. */
export class Api {
  constructor(
    readonly url: string,
    private readonly token: string,
  ) {}

  async send<T = Record<string, unknown>>(
    method: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<Answer<T>> {
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    const response = await fetch(`${this.url}/api${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(options.json === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      signal: AbortSignal.timeout(options.timeoutMs ?? 30_000),
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const parsed = (text === '' ? {} : JSON.parse(text)) as T;
    return {
      status: response.status,
      headers: response.headers,
      body: parsed,
      etag: response.headers.get('etag') ?? '',
    };
  }

  get<T = Record<string, unknown>>(path: string, options?: RequestOptions): Promise<Answer<T>> {
    return this.send<T>('GET', path, options);
  }

  /** All items of a paginated list. */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    for (let next: string | null = ''; next !== null;) {
      const separator = path.includes('?') ? '&' : '?';
      const page: Answer<{ items: T[]; next: string | null }> = await this.get(
        `${path}${separator}limit=200${next === '' ? '' : `&cursor=${encodeURIComponent(next)}`}`,
      );
      if (page.status !== 200) throw new Error(`${path}: ${page.status} ${JSON.stringify(page.body)}`);
      items.push(...page.body.items);
      next = page.body.next;
    }
    return items;
  }
}
