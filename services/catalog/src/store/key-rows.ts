import type { KeyClaims } from '../operations/ports.js';

const statements = {
  // A key that is bound keeps its request; the row is written all the same, as only so a claim that came first is surely seen.
  claim: {
    name: 'key_claim',
    text: `INSERT INTO key_claim AS k (actor, key, fingerprint, expires_at)
           VALUES ($1::text, $2::text, $3::text, now() + interval '7 days')
           ON CONFLICT (actor, key) DO UPDATE SET
             fingerprint = CASE WHEN k.expires_at < now() THEN excluded.fingerprint ELSE k.fingerprint END,
             expires_at = CASE WHEN k.expires_at < now() THEN excluded.expires_at ELSE k.expires_at END
           RETURNING fingerprint`,
  },
};

/** Removes the oldest of the keys whose time is over; a test has it explained. */
export const pruneStatement = {
  name: 'key_prune',
  // By place: joined by key, the whole table is read as soon as much of it looks old.
  text: `DELETE FROM key_claim WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM key_claim WHERE expires_at < now() ORDER BY expires_at LIMIT $1::int FOR UPDATE SKIP LOCKED))
         RETURNING 1`,
};

/** Clients' keys in PostgreSQL. */
export const keyRows: KeyClaims = {
  async claim(sql, { actor, key, fingerprint }) {
    const [row] = await sql.rows<{ fingerprint: string }>(statements.claim, [actor, key, fingerprint]);
    return row!.fingerprint;
  },
  async prune(sql, limit) {
    return (await sql.rows(pruneStatement, [limit])).length;
  },
};
