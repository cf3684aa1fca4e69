/** Something the database is asked with each heartbeat. */
export interface Question {
  /** For readers of the statement; letters and underscores. */
  readonly name: string;
  /** An SQL expression that is true or false and costs one look into an index, such as `EXISTS (SELECT FROM outbox WHERE sent_at IS NULL)`. */
  readonly sql: string;
  /** Told at each heartbeat; `asOf` is the moment (performance.now()) at which it was sent. */
  readonly onAnswer: (isTrue: boolean, asOf: number) => void;
}

/** What one heartbeat brings. */
export interface BeatRow {
  /** False when this replica's time had run out before. */
  readonly alive: boolean;
  /** The other replicas that live: id, name, and the kinds of work that they take part in. */
  readonly others: readonly (readonly [string, string, readonly string[]])[];
  /** Leases that were claimed and not given back, with the replica that claimed them last, dead or alive. */
  readonly leases: readonly (readonly [string, string])[];
  readonly answers: readonly (boolean | null)[];
}

const until = (parameter: string): string => `clock_timestamp() + ${parameter}::int * interval '1 millisecond'`;

/** The SQL of leases. `replica` and `lease` are in every service's database. */
export const leaseStatements = {
  register: {
    name: 'lease_register',
    text: `WITH gone AS (DELETE FROM replica WHERE until < now() - interval '1 hour')
           INSERT INTO replica (id, name, works, until) VALUES ($1::uuid, $2::text, '{}', ${until('$3')})`,
  },
  // Only while this replica lives, and only what nobody who lives has.
  claim: {
    name: 'lease_claim',
    text: `INSERT INTO lease AS l (name, replica, token)
           SELECT n, $1::uuid, 1 FROM unnest($2::text[]) AS n
           WHERE EXISTS (SELECT FROM replica WHERE id = $1::uuid AND until > clock_timestamp()) ORDER BY n
           ON CONFLICT (name) DO UPDATE SET replica = excluded.replica, token = l.token + 1
           WHERE l.replica IS NULL OR l.replica = excluded.replica
             OR NOT EXISTS (SELECT FROM replica r WHERE r.id = l.replica AND r.until > clock_timestamp())
           RETURNING name, token::int`,
  },
  giveBack: {
    name: 'lease_give_back',
    text: 'UPDATE lease SET replica = NULL WHERE replica = $1::uuid AND name = $2::text',
  },
  leave: {
    name: 'lease_leave',
    text: `WITH gone AS (DELETE FROM replica WHERE id = $1::uuid) UPDATE lease SET replica = NULL WHERE replica = $1::uuid`,
  },
} as const;

/**
 * The one statement that a replica sends each second: it renews its row and asks all there is to ask. Without a name, so that it is planned
 * each time: a plan from when the tables were empty would read them whole.
 */
export function beatStatement(questions: readonly Question[]): { readonly text: string } {
  const answers = questions.map(({ name, sql }) => `/* ${name} */ ${sql}`);
  return {
    text: `WITH beat AS (UPDATE replica SET until = ${until('$2')}, works = $3::text[] WHERE id = $1::uuid AND until > clock_timestamp() RETURNING 1),
             others AS (SELECT id, name, works FROM replica WHERE until > clock_timestamp() AND id <> $1::uuid)
           SELECT EXISTS (SELECT FROM beat) AS alive,
             coalesce((SELECT jsonb_agg(jsonb_build_array(id, name, works)) FROM others), '[]') AS others,
             coalesce((SELECT jsonb_agg(jsonb_build_array(name, replica)) FROM lease WHERE replica IS NOT NULL), '[]') AS leases,
             ARRAY[${answers.join(', ')}]::boolean[] AS answers`,
  };
}
