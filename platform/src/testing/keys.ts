import { exportJWK, generateKeyPair } from 'jose';
import type { JsonWebKeyLike } from '../config.js';

export interface TestKeys {
  /** Private key by process name. */
  readonly private: Readonly<Record<string, JsonWebKeyLike>>;
  readonly public: { readonly keys: readonly JsonWebKeyLike[] };
}

/** A key pair for each process, as the start script makes them. */
export async function createTestKeys(
  names: readonly string[] = ['gateway', 'catalog', 'content', 'review', 'versioning', 'deployment'],
): Promise<TestKeys> {
  const pairs = await Promise.all(
    names.map(async (kid) => {
      const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
      return [
        kid,
        { ...(await exportJWK(pair.privateKey)), kid, alg: 'EdDSA' },
        { ...(await exportJWK(pair.publicKey)), kid, alg: 'EdDSA' },
      ] as const;
    }),
  );
  return {
    private: Object.fromEntries(pairs.map(([kid, key]) => [kid, key])),
    public: { keys: pairs.map(([, , key]) => key) },
  };
}
