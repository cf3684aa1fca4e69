import { createTokenMinter, createTokenVerifier } from '@coursewright/platform/internal-token';
import { createTestKeys, type TestKeys } from '@coursewright/platform/testing/keys';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { importJWK, SignJWT, type JWK } from 'jose';

describe('a token between processes', () => {
  let keys: TestKeys;
  const audience = 'coursewright:internal';
  const now = (): number => Math.floor(Date.now() / 1000);
  beforeAll(async () => {
    keys = await createTestKeys(['gateway', 'review']);
  });

  /** A token whose claims are as they are said; undefined leaves one out. */
  async function sign(claims: Record<string, unknown>, kid = 'review'): Promise<string> {
    const all = { sub: `service:${kid}`, iss: kid, aud: audience, iat: now(), exp: now() + 60, ...claims };
    const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    const key = await importJWK(keys.private[kid] as JWK, 'EdDSA');
    return new SignJWT(given).setProtectedHeader({ alg: 'EdDSA', kid }).sign(key);
  }

  it('is taken as it is minted, and as it is signed here', async () => {
    const verifier = createTokenVerifier(keys.public);
    const minted = await (await createTokenMinter(keys.private['review']!)).mintOwn();
    expect(await verifier.verify(minted)).toMatchObject({ sub: 'service:review' });
    expect(await verifier.verify(await sign({}))).toMatchObject({ sub: 'service:review' });
  });

  it('is taken when a second passes while it is minted', async () => {
    const minter = await createTokenMinter(keys.private['review']!);
    const second = 1_000 * Math.floor(Date.now() / 1_000);
    let reads = 0;
    // The clock moves on by a second each time that it is read.
    const real = Date;
    globalThis.Date = class extends real {
      constructor() {
        super(second + 1_000 * (reads += 1));
      }
      static override now = (): number => second + 1_000 * (reads += 1);
    } as DateConstructor;
    const minted = await minter.mintOwn().finally(() => {
      globalThis.Date = real;
    });
    const [, payload] = minted.split('.');
    const { iat, exp } = JSON.parse(Buffer.from(payload!, 'base64url').toString()) as { iat: number; exp: number };
    expect(exp - iat).toBe(60);
  });

  it.each([
    ['says not when it ends', () => ({ exp: undefined })],
    ['says not when it was made', () => ({ iat: undefined })],
    ['lives 61 s', () => ({ exp: now() + 61 })],
    ['lives for a year', () => ({ exp: now() + 31_536_000 })],
    ['ends more than 125 s from now, although it lives 60', () => ({ iat: now() + 70, exp: now() + 130 })],
    ['has ended', () => ({ iat: now() - 130, exp: now() - 70 })],
    ['begins later', () => ({ nbf: now() + 70 })],
    ['is for somebody else', () => ({ aud: 'coursewright' })],
    ['is for nobody', () => ({ aud: undefined })],
    ['says not who made it', () => ({ iss: undefined })],
    ['says that another one made it', () => ({ iss: 'gateway' })],
    ['speaks for another service', () => ({ sub: 'service:gateway' })],
    ['speaks for a person', () => ({ sub: 'ann' })],
    ['speaks for nobody', () => ({ sub: undefined })],
    ['gives its end as a word', () => ({ exp: 'never' })],
  ])('is refused when it %s', async (_, claims) => {
    const refused = createTokenVerifier(keys.public).verify(await sign(claims()));
    await expect(refused).rejects.toMatchObject({ kind: 'unauthenticated', reason: 'INTERNAL_TOKEN_INVALID' });
  });

  it.each([
    ['ahead', 61],
    ['behind', -61],
  ])('is good where clocks are a minute apart, and it may be used again for half a minute: %s', async (_, seconds) => {
    const verifier = createTokenVerifier(keys.public);
    const made = now() + seconds;
    for (const age of [0, 29]) {
      const token = await sign({ iat: made - age, exp: made - age + 60 });
      expect(await verifier.verify(token)).toMatchObject({ sub: 'service:review' });
    }
  });

  it('of the gateway speaks for people and not for services', async () => {
    const verifier = createTokenVerifier(keys.public);
    expect(await verifier.verify(await sign({ sub: 'ann' }, 'gateway'))).toMatchObject({ sub: 'ann' });
    await expect(verifier.verify(await sign({ sub: 'service:review' }, 'gateway'))).rejects.toThrow();
  });
});
