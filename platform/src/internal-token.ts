import { createHash } from 'node:crypto';
import {
  createLocalJWKSet,
  decodeJwt,
  importJWK,
  jwtVerify,
  SignJWT,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
} from 'jose';
import { LRUCache } from 'lru-cache';
import { isService, type Actor } from './actor.js';
import type { JsonWebKeyLike } from './config.js';
import { AppError } from './errors.js';

const audience = 'coursewright:internal';
const lifeSeconds = 60;
/** By how much the clocks of two machines may differ: a minute, and a little for whole seconds and the way. */
const toleranceSeconds = 65;
const reuseMs = 30_000;

/** Makes internal tokens (EdDSA, RFC 8037) that live 60 s; the same actor gets the same one for 30 s. */
export interface TokenMinter {
  mint(actor: Actor): Promise<string>;
  /** The token of this very service, optionally on somebody's behalf. */
  mintOwn(onBehalfOf?: Actor['onBehalfOf']): Promise<string>;
}

/** The key's kid names the process that signs; only the gateway may speak for people. */
export async function createTokenMinter(privateKey: JsonWebKeyLike): Promise<TokenMinter> {
  const key = await importJWK(privateKey as JWK, 'EdDSA');
  const kid = String(privateKey.kid);
  const minted = new LRUCache<string, Promise<string>>({ max: 10_000, ttl: reuseMs });
  const mint = (actor: Actor): Promise<string> => {
    const cacheKey = JSON.stringify(actor);
    const known = minted.get(cacheKey);
    if (known) return known;
    const { sub, ...claims } = actor;
    // One clock for both: read twice, a second that passes in between makes a token of 61 s, which is refused.
    const now = Math.floor(Date.now() / 1000);
    const token = new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'EdDSA', kid })
      .setSubject(sub)
      .setAudience(audience)
      .setIssuer(kid)
      .setIssuedAt(now)
      .setExpirationTime(now + lifeSeconds)
      .sign(key);
    minted.set(cacheKey, token);
    return token;
  };
  return {
    mint,
    mintOwn: (onBehalfOf) =>
      mint({ sub: `service:${kid}`, roles: [], grants: [], ...(onBehalfOf ? { onBehalfOf } : {}) }),
  };
}

/** Checks internal tokens; verified ones are remembered by their hash until they expire. */
export interface TokenVerifier {
  /** Throws unauthenticated INTERNAL_TOKEN_INVALID, also for a token that says not when it ends, or lives longer than 60 s. */
  verify(token: string): Promise<Actor>;
}

export function createTokenVerifier(keys: { readonly keys: readonly JsonWebKeyLike[] }): TokenVerifier {
  const keySet = createLocalJWKSet(keys as unknown as JSONWebKeySet);
  const verified = new LRUCache<string, Actor>({ max: 10_000, ttl: lifeSeconds * 1000 });
  return {
    async verify(token) {
      const hash = createHash('sha256').update(token).digest('base64url');
      const known = verified.get(hash);
      if (known) return known;
      const actor = await check(token, keySet);
      verified.set(hash, actor.actor, { ttl: Math.max(1, actor.expiresAt - Date.now()) });
      return actor.actor;
    },
  };
}

/** A token that is good for long would outlive the roles it names, whoever got hold of it. */
function refuseLongLife({ iat = 0, exp = Infinity }: JWTPayload): void {
  const now = Date.now() / 1000;
  if (exp - iat > lifeSeconds) throw new Error(`lives ${exp - iat} s`);
  if (exp > now + lifeSeconds + toleranceSeconds) throw new Error('begins in the future');
}

/** For the log of who refuses a token: whose it says it is, and when it ends by whose clock. Nothing of it is proven. */
function datesIn(token: string): string {
  try {
    const { iss, iat, exp } = decodeJwt(token);
    return `(${JSON.stringify({ iss, iat, exp, now: Math.floor(Date.now() / 1000) }).slice(0, 200)})`;
  } catch {
    return '(no token)';
  }
}

async function check(
  token: string,
  keySet: ReturnType<typeof createLocalJWKSet>,
): Promise<{ actor: Actor; expiresAt: number }> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keySet, {
      audience,
      algorithms: ['EdDSA'],
      clockTolerance: toleranceSeconds,
      requiredClaims: ['sub', 'iss', 'iat', 'exp'],
    });
    refuseLongLife(payload);
    const actor: Actor = {
      sub: String(payload.sub),
      roles: (payload['roles'] as string[] | undefined) ?? [],
      grants: (payload['grants'] as Actor['grants'] | undefined) ?? [],
      ...(typeof payload['name'] === 'string' ? { name: payload['name'] } : {}),
      ...(payload['onBehalfOf'] ? { onBehalfOf: payload['onBehalfOf'] as NonNullable<Actor['onBehalfOf']> } : {}),
    };
    const signer = String(protectedHeader.kid);
    const speaksForItself = actor.sub === `service:${signer}`;
    if (payload.iss !== signer || !(speaksForItself || (signer === 'gateway' && !isService(actor)))) {
      throw new Error(`${signer} may not speak for ${actor.sub}`);
    }
    return { actor, expiresAt: Number(payload.exp) * 1000 };
  } catch (error) {
    throw new AppError(
      'unauthenticated',
      'INTERNAL_TOKEN_INVALID',
      {},
      { cause: `${String(error)} ${datesIn(token)}` },
    );
  }
}
