import type { Intent, Intents } from '../operations/ports.js';

interface IntentRow {
  readonly id: string;
  readonly actor: string;
  readonly person: string;
  readonly person_name: string | null;
  readonly key: string | null;
  readonly fingerprint: string | null;
  readonly kept: string | null;
  readonly fields: Record<string, unknown>;
  readonly attempts: number;
  readonly created_at: Date;
}

const columns = 'id, actor, person, person_name, key, fingerprint, kept, fields, attempts, created_at';

const statements = {
  insert: {
    name: 'intent_insert',
    text: `INSERT INTO course_intent (${columns}, state, lease_until)
           VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::jsonb, $9::int, $10::timestamptz,
             'open', now() + $11::int * interval '1 millisecond')`,
  },
  findOpen: {
    name: 'intent_find_open',
    text: `SELECT ${columns} FROM course_intent WHERE actor = $1::text AND key = $2::text AND state = 'open'`,
  },
  lockOpen: {
    name: 'intent_lock_open',
    text: `SELECT ${columns} FROM course_intent WHERE id = $1::uuid AND state = 'open' FOR UPDATE`,
  },
  close: {
    name: 'intent_close',
    text: `UPDATE course_intent SET state = $2::text, reason = nullif($3::text, ''), closed_at = now()
           WHERE id = $1::uuid AND state = 'open'`,
  },
  lease: {
    name: 'intent_lease',
    text: `UPDATE course_intent SET lease_until = now() + $2::int * interval '1 millisecond' WHERE id = $1::uuid AND state = 'open'`,
  },
  claim: {
    name: 'intent_claim',
    text: `UPDATE course_intent SET lease_until = now() + $2::int * interval '1 millisecond', attempts = attempts + 1
           WHERE id IN (SELECT id FROM course_intent WHERE state = 'open' AND lease_until < now()
                        ORDER BY lease_until LIMIT $1::int FOR UPDATE SKIP LOCKED)
           RETURNING ${columns}`,
  },
  prune: {
    name: 'intent_prune',
    text: `DELETE FROM course_intent WHERE id IN
             (SELECT id FROM course_intent WHERE closed_at < now() - interval '7 days' ORDER BY closed_at LIMIT 1000)`,
  },
};

/** The table of courses that are being made. */
export const intentRows: Intents = {
  async insert(sql, intent, leaseMs) {
    const { id, actor, person, command, fields, attempts, createdAt } = intent;
    await sql.rows(statements.insert, [
      ...[id, actor, person.sub, person.name ?? null],
      ...[command?.id ?? null, command?.fingerprint ?? null, command?.kept ?? null],
      ...[JSON.stringify(fields), attempts, createdAt, leaseMs],
    ]);
  },
  async findOpen(sql, actor, key) {
    const [row] = await sql.rows<IntentRow>(statements.findOpen, [actor, key]);
    return row && toIntent(row);
  },
  async lockOpen(sql, id) {
    const [row] = await sql.rows<IntentRow>(statements.lockOpen, [id]);
    return row && toIntent(row);
  },
  async close(sql, id, end, reason) {
    await sql.rows(statements.close, [id, end, reason]);
  },
  async lease(sql, id, ms) {
    await sql.rows(statements.lease, [id, ms]);
  },
  async claim(sql, { limit, leaseMs }) {
    return (await sql.rows<IntentRow>(statements.claim, [limit, leaseMs])).map(toIntent);
  },
  async prune(sql) {
    await sql.rows(statements.prune);
  },
};

function toIntent(row: IntentRow): Intent {
  const { key, fingerprint, kept } = row;
  return {
    id: row.id,
    actor: row.actor,
    person: row.person_name === null ? { sub: row.person } : { sub: row.person, name: row.person_name },
    ...(key === null
      ? {}
      : { command: { id: key, fingerprint: fingerprint ?? '', kept: kept === 'client' ? 'client' : 'minted' } }),
    fields: row.fields,
    attempts: row.attempts,
    createdAt: row.created_at,
  };
}
