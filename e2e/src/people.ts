import { createPrivateKey, sign } from 'node:crypto';
import { Api } from './api.js';
import { callersOf } from './callers.js';
import type { System } from './system.js';
import { CatalogServiceDefinition } from '@coursewright/proto/coursewright/catalog/v1/catalog';

/** Whom the issuer knows. */
export interface Person {
  readonly sub: string;
  readonly roles?: readonly string[];
  readonly name?: string;
}

/** The API as somebody sees it whom the development issuer has just let in. */
export function apiFor(system: System, person: Person): Api {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { kty, crv, x, d, kid } = system.keys.issuer;
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: 'coursewright-development',
    aud: 'coursewright',
    iat: now,
    exp: now + 3600,
    roles: [],
    ...person,
  };
  const text = `${part({ alg: 'EdDSA', typ: 'JWT', kid })}.${part(claims)}`;
  const key = createPrivateKey({ key: { kty, crv, x, d }, format: 'jwk' });
  return new Api(system.gateway, `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`);
}

/** Gives somebody a role on a course, as the platform's admin would. */
export async function giveRole(system: System, courseId: string, subject: string, role: string): Promise<void> {
  const callers = await callersOf(system);
  try {
    const admin = await callers.person('dev-admin', ['admin']);
    await callers.channel('catalog').client(CatalogServiceDefinition).putMember({ courseId, subject, role }, admin);
  } finally {
    callers.close();
  }
}
