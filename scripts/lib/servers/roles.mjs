// The roles by which services use their databases. None of them owns anything: migrations run as the owner.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { serviceNames } from '../names.mjs';
import { root } from '../paths.mjs';
import { Refusal } from '../steps.mjs';
import { scramSecret } from './scram.mjs';
import { databaseOf, databaseVariable } from './users.mjs';

const GRANTS = readFileSync(join(root, 'platform/sql/grants.sql'), 'utf8');
const NOT_ALLOWED = '42501';

/**
 * The role of each service: `{service: {role, password, named}}`. One that is named by CATALOG_DATABASE_URL and its like was
 * made by somebody else, who knows its password.
 */
export function runtimeRoles({ passwords, env = {} }) {
  return Object.fromEntries(
    serviceNames.map((name) => {
      const url = env[databaseVariable(name)];
      const role = url ? decodeURIComponent(new URL(url).username) : databaseOf(name);
      return [name, { role, password: url ? null : passwords[name], named: Boolean(url) }];
    }),
  );
}

/** What to do on a server whose user may not make roles. */
function whatToRun(user) {
  const lines = serviceNames.map((name) => `  CREATE ROLE ${databaseOf(name)} LOGIN PASSWORD '…';`);
  const [first] = serviceNames;
  return (
    `The user ${user} of POSTGRES_URL may not make roles, and each service needs one that does not own its tables.\n` +
    `Either give that user CREATEROLE, or have these run, each with a password of its own:\n${lines.join('\n')}\n` +
    `and name them by ${serviceNames.map(databaseVariable).join(', ')}, as in\n` +
    `  ${databaseVariable(first)}=postgresql://${databaseOf(first)}:<password>@<host>:<port>/${databaseOf(first)}`
  );
}

async function whoAmI(client, role) {
  const { rows } = await client.query(
    `SELECT current_user AS name, coalesce(bool_or(rolcreaterole OR rolsuper) FILTER (WHERE rolname = current_user), false) AS may_make,
       coalesce(bool_or(rolname = $1), false) AS known FROM pg_roles`,
    [role],
  );
  return rows[0];
}

/** Makes the role, or gives it this password where it is there. */
async function ensureRole(client, { role, password }, me) {
  if (!me.may_make) throw new Refusal(whatToRun(me.name));
  const verb = me.known ? 'ALTER' : 'CREATE';
  try {
    await client.query(`${verb} ROLE ${client.escapeIdentifier(role)} LOGIN PASSWORD '${scramSecret(password)}'`);
  } catch (error) {
    if (error.code === NOT_ALLOWED) throw new Refusal(`${error.message}\n${whatToRun(me.name)}`);
    throw error;
  }
}

/**
 * Makes the role of a service and gives it its rights, over a connection of the owner to the service's database, whose lock for
 * migrations the caller holds. Resolves to false when the role named is the owner's own: from that one nothing can be kept.
 */
export async function grantTo(client, wanted) {
  const me = await whoAmI(client, wanted.role);
  if (wanted.role === me.name) return false;
  if (wanted.password !== null) await ensureRole(client, wanted, me);
  else if (!me.known) throw new Refusal(`there is no role ${wanted.role} on the server, which a …_DATABASE_URL names`);
  await client.query(`SELECT set_config('coursewright.role', $1, false)`, [wanted.role]);
  await client.query(GRANTS);
  return true;
}

/** On a server of our own: nobody but the owner comes into the databases that every server has. */
export async function closeCommonDatabases(client) {
  await client.query('SELECT pg_advisory_lock(72707370)');
  try {
    for (const name of ['postgres', 'template1']) await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
  } finally {
    await client.query('SELECT pg_advisory_unlock(72707370)');
  }
}
