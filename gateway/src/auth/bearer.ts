import { hash } from 'node:crypto';
import { ROLES } from '@coursewright/course-model/access';
import { firstPoints } from '@coursewright/course-model/text-length';
import { AppError } from '@coursewright/platform/errors';
import { createLocalJWKSet, createRemoteJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import type { AuthConfig } from '../config.js';

/** Who sent a request, as the identity provider says. */
export interface Caller {
  readonly sub: string;
  readonly name?: string;
  /** Roles on the whole platform. */
  readonly roles: readonly string[];
}

/** Reads the Authorization header. */
export interface Authenticator {
  /** Throws unauthenticated TOKEN_MISSING or TOKEN_INVALID, unavailable AUTH_KEYS_UNAVAILABLE. */
  authenticate(authorization: string | undefined): Promise<Caller>;
}

const mostBytes = 8 * 1024;
// Visible text without spaces; "service:" is how our own services call themselves.
const subjectForm = /^(?!service:)[^\s\p{C}]{1,200}$/u;

/** Checks tokens of one issuer (EdDSA, RS256 or ES256, 5 s of skew); verified ones are remembered by their hash until they expire. */
export function createAuthenticator(config: AuthConfig): Authenticator {
  const keys =
    config.keys instanceof URL
      ? createRemoteJWKSet(config.keys, { timeoutDuration: 3_000, cooldownDuration: 10_000 })
      : createLocalJWKSet(config.keys as unknown as JSONWebKeySet);
  // A caller has a subject and a name of at most 200 characters each, and no roles but those we know: less than 3 kB.
  const verified = new LRUCache<string, Caller>({ max: 10_000 });
  // Many requests with one new token have it checked once.
  const underWay = new Map<string, Promise<Caller>>();
  const learn = async (token: string, key: string): Promise<Caller> => {
    const payload = await verify(token, keys, config);
    const caller = callerOf(payload);
    const ttl = (payload.exp ?? 0) * 1000 - Date.now();
    if (ttl > 0) verified.set(key, caller, { ttl });
    return caller;
  };
  return {
    async authenticate(authorization) {
      const token = readToken(authorization);
      const key = hash('sha256', token, 'base64url');
      const known = verified.get(key);
      if (known) return known;
      const asked = underWay.get(key) ?? learn(token, key).finally(() => underWay.delete(key));
      underWay.set(key, asked);
      return asked;
    },
  };
}

function readToken(authorization: string | undefined): string {
  if (authorization === undefined) throw new AppError('unauthenticated', 'TOKEN_MISSING');
  const token = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(authorization)?.[1];
  if (token === undefined || token.length > mostBytes) throw new AppError('unauthenticated', 'TOKEN_INVALID');
  return token;
}

async function verify(
  token: string,
  keys: ReturnType<typeof createLocalJWKSet> | ReturnType<typeof createRemoteJWKSet>,
  config: AuthConfig,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: config.issuer,
      audience: config.audience,
      algorithms: ['EdDSA', 'RS256', 'ES256'],
      clockTolerance: 5,
      requiredClaims: ['exp', 'sub'],
    });
    return payload;
  } catch (cause) {
    // Only what the token itself did wrong is the caller's fault; keys that cannot be fetched are not.
    const isOurs = !(cause instanceof errors.JOSEError) || cause instanceof errors.JWKSTimeout;
    if (isOurs && config.keys instanceof URL)
      throw new AppError('unavailable', 'AUTH_KEYS_UNAVAILABLE', { retryAfterSeconds: 5 }, { cause });
    throw new AppError('unauthenticated', 'TOKEN_INVALID', {}, { cause });
  }
}

function callerOf(payload: JWTPayload): Caller {
  const { sub, name, roles } = payload as { sub?: unknown; name?: unknown; roles?: unknown };
  if (typeof sub !== 'string' || !subjectForm.test(sub)) throw new AppError('unauthenticated', 'TOKEN_INVALID');
  // Others allow nothing, and would travel through every service.
  const known = Array.isArray(roles) ? ROLES.filter((role) => roles.includes(role)) : [];
  const shown = typeof name === 'string' ? firstPoints(name.toWellFormed().replaceAll('\0', ''), 200) : '';
  return { sub, roles: known, ...(shown === '' ? {} : { name: shown }) };
}
