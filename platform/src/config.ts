import { own } from './own.js';
/** Environment variables as a process has them. */
export type Env = Readonly<Record<string, string | undefined>>;

/** Thrown once, with every problem of the configuration. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(`The configuration is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/** Reads variables one by one and collects what is wrong with them, instead of failing at the first. */
export class EnvReader {
  readonly problems: string[] = [];
  constructor(private readonly env: Env) {}

  /** A variable that may be absent or empty. */
  optional(name: string): string | undefined {
    const value = own(this.env, name);
    return value === undefined || value === '' ? undefined : value;
  }

  text(name: string, fallback?: string): string {
    const value = this.optional(name) ?? fallback;
    if (value === undefined) this.problems.push(`${name} is missing`);
    return value ?? '';
  }

  integer(name: string, limits: { fallback?: number; min?: number; max?: number } = {}): number {
    const text = this.optional(name);
    if (text === undefined) {
      if (limits.fallback === undefined) this.problems.push(`${name} is missing`);
      return limits.fallback ?? 0;
    }
    const value = Number(text);
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = limits;
    if (!Number.isInteger(value) || value < min || value > max) {
      this.problems.push(`${name} must be a whole number from ${min} to ${max}, not "${text}"`);
    }
    return value;
  }

  optionalInteger(name: string): number | undefined {
    return this.optional(name) === undefined ? undefined : this.integer(name);
  }

  /** A password or token that may be absent; a short one could be guessed. */
  secret(name: string, shortest: number): string | undefined {
    const value = this.optional(name);
    if (value !== undefined && value.length < shortest)
      this.problems.push(`${name} must have at least ${shortest} characters`);
    return value;
  }

  port(name: string, fallback?: number): number {
    return this.integer(name, { min: 0, max: 65_535, ...(fallback === undefined ? {} : { fallback }) });
  }

  url(name: string, protocols: readonly string[]): string {
    const text = this.text(name);
    if (text === '') return text;
    const protocol = URL.canParse(text) ? new URL(text).protocol : undefined;
    // The value itself may hold a password: it stays out of the message.
    if (protocol === undefined || !protocols.includes(protocol))
      this.problems.push(`${name} must be a URL of ${protocols.join(' or ')}`);
    return text;
  }

  /** host:port of another service, or that of each of its replicas with commas between. */
  address(name: string): string {
    const text = this.text(name);
    if (text !== '' && !/^[^:\s,]+:\d{1,5}(,[^:\s,]+:\d{1,5})*$/.test(text))
      this.problems.push(`${name} must be host:port, or several with commas between`);
    return text;
  }

  /** The name by which this process is told from other replicas of its service; undefined where it was given none. */
  instance(): string | undefined {
    const text = this.optional('INSTANCE');
    if (text !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(text))
      this.problems.push('INSTANCE must be a name of letters, digits, dots, hyphens and underscores');
    return text;
  }

  flag(name: string): boolean {
    const text = this.optional(name) ?? 'false';
    if (!/^(true|false|1|0)$/.test(text)) this.problems.push(`${name} must be true or false`);
    return text === 'true' || text === '1';
  }

  json<T>(name: string): T {
    const text = this.text(name);
    try {
      return JSON.parse(text) as T;
    } catch {
      if (text !== '') this.problems.push(`${name} must be JSON`);
      return undefined as T;
    }
  }
}

/**
 * Builds a configuration from the environment.
 * Throws ConfigError with every problem at once.
 */
export function readConfig<T>(env: Env, build: (reader: EnvReader) => T): T {
  const reader = new EnvReader(env);
  const config = build(reader);
  if (reader.problems.length > 0) throw new ConfigError(reader.problems);
  return config;
}

/** What every service is told. */
export interface ServiceConfig {
  readonly host: string;
  readonly port: number;
  readonly opsPort: number;
  readonly databaseUrl: string;
  readonly natsUrl: string;
  readonly tokenKey: JsonWebKeyLike;
  readonly tokenKeys: { readonly keys: readonly JsonWebKeyLike[] };
  /** What commands on the ops port have to bring; without it all of them are refused. */
  readonly opsToken?: string | undefined;
  /** Resident memory that the process may take, in MiB. */
  readonly memoryLimitMib?: number | undefined;
  /** The name of this replica (`catalog-2`); that of the service unless it was given one. */
  readonly instance?: string | undefined;
  readonly otlpEndpoint: string | undefined;
  readonly logLevel: string;
}

/** A key of RFC 7517, as far as this product looks into it. */
export type JsonWebKeyLike = Readonly<Record<string, unknown>> & { readonly kid?: string };

/** Reads what every service is told. */
export function readServiceConfig(reader: EnvReader): ServiceConfig {
  return {
    host: reader.text('HOST', '127.0.0.1'),
    port: reader.port('PORT'),
    opsPort: reader.port('OPS_PORT'),
    databaseUrl: reader.url('DATABASE_URL', ['postgresql:', 'postgres:']),
    natsUrl: reader.url('NATS_URL', ['nats:', 'tls:']),
    tokenKey: reader.json('INTERNAL_TOKEN_KEY'),
    tokenKeys: reader.json('INTERNAL_TOKEN_JWKS'),
    opsToken: reader.secret('OPS_TOKEN', 24),
    memoryLimitMib: reader.optionalInteger('MEMORY_LIMIT_MIB'),
    instance: reader.instance(),
    otlpEndpoint: reader.optional('OTEL_EXPORTER_OTLP_ENDPOINT'),
    logLevel: reader.text('LOG_LEVEL', 'info'),
  };
}

/** The pid of the supervisor that started this process, as it told; undefined where somebody else did. */
export function supervisorOf(env: Env): number | undefined {
  const pid = Number(env['SUPERVISOR_PID']);
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}
