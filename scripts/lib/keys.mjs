// Keys of a development system: one signing key a process for the internal token, one for the development issuer.
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readJson, writeJson } from './files.mjs';
import { processNames } from './names.mjs';

/** Who signs development tokens, and for whom, unless AUTH_ISSUER and AUTH_AUDIENCE say otherwise. */
export const ISSUER = 'coursewright-development';
export const AUDIENCE = 'coursewright';

const DAYS = 30;

/** The people of the development system. Platform roles: the others get their role from the sample course's members. */
export const people = {
  admin: { sub: 'dev-admin', name: 'Ada Admin', roles: ['admin'] },
  author: { sub: 'dev-author', name: 'Aurel Author', roles: ['author'] },
  reviewer: { sub: 'dev-reviewer', name: 'Rosa Reviewer', roles: [] },
  publisher: { sub: 'dev-publisher', name: 'Pavel Publisher', roles: [] },
  deployer: { sub: 'dev-deployer', name: 'Dora Deployer', roles: [] },
  learner: { sub: 'dev-learner', name: 'Lea Learner', roles: [] },
};

/** A new private Ed25519 key as a JWK with its `kid`. */
export function newKey(kid) {
  const { privateKey } = generateKeyPairSync('ed25519');
  return { ...privateKey.export({ format: 'jwk' }), kid, alg: 'EdDSA', use: 'sig' };
}

/** The public half of a private JWK. */
export function publicHalf({ kty, crv, x, kid, alg, use }) {
  return { kty, crv, x, kid, alg, use };
}

/** New keys: `{internal: {process: jwk}, issuer: jwk, cursor}`. */
export function newKeys() {
  return {
    internal: Object.fromEntries(processNames.map((name) => [name, newKey(name)])),
    issuer: newKey('development'),
    cursor: randomBytes(32).toString('base64url'),
  };
}

/** The keys kept in a file of the data folder (readable by its owner alone), made at the first call. */
export function keysOf(file) {
  const kept = existsSync(file) ? readJson(file) : null;
  if (kept && processNames.every((name) => kept.internal?.[name])) return kept;
  const keys = newKeys();
  writeJson(file, keys);
  return keys;
}

/** Signs claims as a compact EdDSA JWT. */
export function signJwt(jwk, claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'EdDSA', typ: 'JWT', kid: jwk.kid })}.${part(claims)}`;
  const { kty, crv, x, d } = jwk;
  const key = createPrivateKey({ key: { kty, crv, x, d }, format: 'jwk' });
  return `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`;
}

/** One token for each of the development people, good for 30 days: `{admin, author, …}`. */
export function developmentTokens(keys, { issuer = ISSUER, audience = AUDIENCE, now = Date.now() } = {}) {
  const iat = Math.floor(now / 1000);
  const claims = { iss: issuer, aud: audience, iat, exp: iat + DAYS * 86_400 };
  return Object.fromEntries(
    Object.entries(people).map(([role, person]) => [role, signJwt(keys.issuer, { ...claims, ...person })]),
  );
}
