// Keys and passwords of a system: what each process signs with, who it is to the data servers, who signs for people.
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { readJson, writeJson } from './files.mjs';
import { processNames, serviceNames } from './names.mjs';

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

/** A password of 192 random bits. It begins with a letter and needs no escapes, so that it stands in a URL as it is. */
function newPassword() {
  return `k${randomBytes(24).toString('base64url')}`;
}

/** A password for each name. */
function passwordsOf(names) {
  return Object.fromEntries(names.map((name) => [name, newPassword()]));
}

/**
 * New keys: `{internal: {process: jwk}, issuer: jwk, cursor, opsToken, nats: {user: password}, postgres: {user: password}}`.
 * On NATS each process is a user, beside a `subscriber` who only listens and an `admin`; on PostgreSQL each service, beside the `owner`.
 */
export function newKeys() {
  return {
    internal: Object.fromEntries(processNames.map((name) => [name, newKey(name)])),
    issuer: newKey('development'),
    cursor: randomBytes(32).toString('base64url'),
    opsToken: newPassword(),
    nats: passwordsOf([...processNames, 'subscriber', 'admin']),
    postgres: passwordsOf(['owner', ...serviceNames]),
  };
}

/** The keys kept in a file of the data folder (readable by its owner alone), made at the first call; what an older file lacks is added. */
export function keysOf(file) {
  const kept = readJson(file) ?? {};
  const keys = newKeys();
  for (const [name, made] of Object.entries(keys)) {
    const parts = ['internal', 'nats', 'postgres'].includes(name);
    keys[name] = parts ? { ...made, ...kept[name] } : (kept[name] ?? made);
  }
  if (JSON.stringify(keys) !== JSON.stringify(kept)) writeJson(file, keys);
  return keys;
}

/**
 * What one process may know of all keys: its own private key and passwords, and the public halves of the others. The
 * gateway alone gets the key of cursors.
 */
export function secretsOf(name, keys) {
  return {
    key: keys.internal[name],
    jwks: { keys: Object.values(keys.internal).map(publicHalf) },
    opsToken: keys.opsToken,
    nats: keys.nats[name],
    ...(name === 'gateway'
      ? { cursor: keys.cursor, issuer: publicHalf(keys.issuer) }
      : { postgres: keys.postgres[name] }),
  };
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
