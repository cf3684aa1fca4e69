import { type EnvReader, type JsonWebKeyLike } from '@coursewright/platform/config';

/** What the gateway is told. */
export interface GatewayConfig {
  readonly host: string;
  readonly port: number;
  /** For operators alone: health and metrics. */
  readonly opsPort: number;
  /** The name of this process among gateways. */
  readonly instance?: string | undefined;
  readonly addresses: Readonly<Record<PeerName, string>>;
  readonly natsUrl: string;
  readonly tokenKey: JsonWebKeyLike;
  readonly auth: AuthConfig;
  /** Signs cursors. */
  readonly cursorKey: string;
  /** Where clients reach the gateway; the server of the OpenAPI document. */
  readonly publicUrl: string;
  readonly limits: Limits;
  readonly otlpEndpoint: string | undefined;
  readonly logLevel: string;
}

export type PeerName = 'catalog' | 'content' | 'review' | 'versioning' | 'deployment';

export interface AuthConfig {
  readonly issuer: string;
  readonly audience: string;
  /** Keys themselves (RFC 7517), or where the identity provider publishes them. */
  readonly keys: { readonly keys: readonly JsonWebKeyLike[] } | URL;
  /** Tokens come from the built-in development issuer. */
  readonly development: boolean;
}

export interface Limits {
  /** Requests worked on at once; more are answered 503. */
  readonly inFlight: number;
  /** Requests of one actor under way at once; more are answered 429. */
  readonly perActor: number;
  /** Bytes of an archive to import. */
  readonly importBytes: number;
}

/** The issuer of development tokens; accepted only when DEV_ISSUER says so. */
export const developmentIssuer = 'coursewright-development';

/** Reads the gateway's variables; what is wrong with them is collected in the reader. */
export function readGatewayConfig(reader: EnvReader): GatewayConfig {
  return {
    host: reader.text('HOST', '127.0.0.1'),
    port: reader.port('PORT'),
    opsPort: reader.port('OPS_PORT'),
    instance: reader.instance(),
    addresses: {
      catalog: reader.address('CATALOG_ADDRESS'),
      content: reader.address('CONTENT_ADDRESS'),
      review: reader.address('REVIEW_ADDRESS'),
      versioning: reader.address('VERSIONING_ADDRESS'),
      deployment: reader.address('DEPLOYMENT_ADDRESS'),
    },
    natsUrl: reader.url('NATS_URL', ['nats:', 'tls:']),
    tokenKey: reader.json('INTERNAL_TOKEN_KEY'),
    auth: readAuth(reader),
    cursorKey: readCursorKey(reader),
    publicUrl: reader.url('PUBLIC_URL', ['http:', 'https:']).replace(/\/$/, ''),
    limits: {
      inFlight: reader.integer('MAX_IN_FLIGHT', { fallback: 512, min: 1 }),
      perActor: reader.integer('MAX_PER_ACTOR', { fallback: 128, min: 1 }),
      importBytes: reader.integer('MAX_IMPORT_BYTES', { fallback: 512 * 1024 * 1024, min: 1 }),
    },
    otlpEndpoint: reader.optional('OTEL_EXPORTER_OTLP_ENDPOINT'),
    logLevel: reader.text('LOG_LEVEL', 'info'),
  };
}

function readAuth(reader: EnvReader): AuthConfig {
  const issuer = reader.text('AUTH_ISSUER');
  const development = reader.flag('DEV_ISSUER');
  if (issuer === developmentIssuer && !development)
    reader.problems.push(`AUTH_ISSUER is the development issuer; DEV_ISSUER=true says that this is meant`);
  return { issuer, audience: reader.text('AUTH_AUDIENCE'), keys: readKeys(reader, development), development };
}

function readKeys(reader: EnvReader, development: boolean): AuthConfig['keys'] {
  const text = reader.text('AUTH_JWKS');
  if (!/^https?:/.test(text)) return reader.json('AUTH_JWKS');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const local = url !== undefined && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  if (url === undefined || (url.protocol !== 'https:' && !local && !development))
    reader.problems.push('AUTH_JWKS must be JSON or an https URL');
  return url ?? new URL('https://invalid.example');
}

function readCursorKey(reader: EnvReader): string {
  const key = reader.text('CURSOR_KEY');
  if (key !== '' && key.length < 32) reader.problems.push('CURSOR_KEY must have at least 32 characters');
  return key;
}
