// Who may do what on the data servers, tried on servers that are started as `npm start` starts them.
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLogger } from '@coursewright/platform/logger';
import { lookAtDurables, openDurable } from '@coursewright/platform/durables';
import { ensureStream, jetStreamOf, managerOf, openNats, subjectOf, wakeSubject } from '@coursewright/platform/nats';
import { dataFolder } from '../lib/data-folder.mjs';
import { newKeys, secretsOf } from '../lib/keys.mjs';
import { processNames, serviceNames } from '../lib/names.mjs';
import { requireFrom } from '../lib/paths.mjs';
import { passingPorts } from '../lib/ports.mjs';
import { serverUnits } from '../lib/servers/choose.mjs';
import { withPasswords } from '../lib/servers/postgres.mjs';
import { runtimeRoles } from '../lib/servers/roles.mjs';
import { databaseUrl, runtimeUrl, withUser } from '../lib/servers/users.mjs';
import { Supervisor } from '../lib/supervisor.mjs';
import { migrateAll } from '../migrate.mjs';

const pg = requireFrom('platform', 'pg');
const keys = newKeys();
const COURSE = '019a0000-0000-7000-8000-000000000001';
let folder;
let supervisor;
let ports;
let urls;

async function startServers(names, own = keys) {
  const tools = join(dataFolder(), 'tools');
  const units = await serverUnits({ dir: folder, tools, ports, keys: own, fsync: false, names });
  for (const unit of units) supervisor.add(unit);
  await Promise.all(names.map((name) => supervisor.ready(name)));
  return Object.fromEntries(units.map(({ name, describe: { url } }) => [name, url]));
}

beforeAll(async () => {
  folder = mkdtempSync(join(process.env.TEST_DIR ?? tmpdir(), 'system-'));
  chmodSync(folder, 0o755);
  supervisor = new Supervisor({ folder });
  ports = await passingPorts();
  urls = await startServers(['nats', 'postgres']);
}, 120_000);
afterAll(async () => {
  await supervisor.close();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

describe('on NATS', () => {
  const open = [];
  const logger = createLogger('test', 'silent');
  const connectionOf = async (user, inbox) => {
    const nats = openNats(withUser(urls.nats, user, keys.nats[user]), inbox ?? user, logger);
    open.push(nats);
    return nats.connected;
  };
  afterAll(() => Promise.all(open.map((nats) => nats.close())));
  const forged = subjectOf('versioning', 'published', COURSE);
  const countOf = async () => {
    const manager = await managerOf(await connectionOf('admin'));
    return (await manager.streams.info('CW_VERSIONING')).state.messages;
  };

  it('a service keeps its stream, publishes, and its consumer takes the event and says so', async () => {
    const source = await connectionOf('versioning');
    await ensureStream(source, 'versioning');
    await ensureStream(source, 'versioning');
    const catalog = await connectionOf('catalog');
    const partition = COURSE.slice(-1);
    const reader = { consumer: 'catalog', source: 'versioning', partition };
    // As after the death of the replica that read it before, too.
    void (await openDurable(catalog, { ...reader, takeOver: false })).close();
    const messages = await openDurable(catalog, { ...reader, takeOver: true });
    expect(await lookAtDurables(catalog, reader, new Map([[partition, { messages, received: 0 }]]))).toEqual([]);
    await jetStreamOf(source).publish(forged, '{}', { timeout: 1_000 });
    for await (const message of messages) {
      expect(message.subject).toBe(forged);
      expect(await message.ackAck()).toBe(true);
      break;
    }
    await messages.close();
  });

  it('a replica is heard by the others of its service alone', async () => {
    const [one, other] = [await connectionOf('review'), await connectionOf('review')];
    const heard = [];
    other.subscribe(wakeSubject('review'), { callback: () => heard.push('woken') });
    await other.flush();
    one.publish(wakeSubject('review'));
    await one.flush();
    await other.flush();
    expect(heard).toEqual(['woken']);
  });

  it.each([['catalog'], ['content'], ['review'], ['deployment'], ['gateway'], ['subscriber']])(
    'a message of versioning that %s forged is refused',
    async (user) => {
      const before = await countOf();
      const connection = await connectionOf(user);
      const refused = (async () => {
        for await (const status of connection.status()) if (status.type === 'error') return status.error;
      })();
      connection.publish(forged, '{}');
      await connection.flush();
      expect(String(await Promise.race([refused, sleep(5_000, 'published', { ref: false })]))).toMatch(
        /permissions violation/i,
      );
      expect(await countOf()).toBe(before);
    },
  );

  it.each([
    ['without credentials', (url) => `nats://${new URL(url).host}`],
    ['with a wrong password', (url) => withUser(url, 'versioning', 'guessed')],
    ["with another service's password", (url) => withUser(url, 'versioning', keys.nats.catalog)],
  ])('nobody gets in %s', async (_, addressOf) => {
    const { connect } = requireFrom('platform', '@nats-io/transport-node');
    const { username: user, password: pass, host } = new URL(addressOf(urls.nats));
    const options = user === '' ? {} : { user, pass };
    await expect(connect({ servers: host, reconnect: false, ...options })).rejects.toThrow(/authorization/i);
  });

  it('who takes the address that is shown to people only listens', async () => {
    const listener = openNats(urls.nats, 'subscriber', logger);
    open.push(listener);
    const connection = await listener.connected;
    const refused = (async () => {
      for await (const status of connection.status()) if (status.type === 'error') return String(status.error);
    })();
    connection.subscribe('cw.v1.>', { callback: () => undefined });
    connection.publish('cw.v1.nobody.here', '{}');
    await connection.flush();
    expect(await Promise.race([refused, sleep(5_000, 'published', { ref: false })])).toMatch(
      /permissions violation for publish/i,
    );
  });

  it('a listener hears events, and nobody hears what others are answered', async () => {
    const heard = [];
    const listener = await connectionOf('subscriber');
    listener.subscribe('cw.v1.>', { callback: (_, message) => heard.push(message.subject) });
    await listener.flush();
    const source = await connectionOf('versioning');
    await jetStreamOf(source).publish(forged, '{}', { timeout: 1_000 });
    await listener.flush();
    expect(heard).toEqual([forged]);
    for (const [user, subject] of [
      ['subscriber', '_INBOX_versioning.>'],
      ['review', '_INBOX_versioning.>'],
      ['review', '_INBOX.>'],
      ['review', 'cw.v1.>'],
      ['gateway', '>'],
    ]) {
      const subscription = (await connectionOf(user)).subscribe(subject);
      const first = (async () => {
        for await (const message of subscription) return message;
      })();
      await expect(first).rejects.toThrow(/permissions violation/i);
    }
  });

  it.each([
    ['versioning', '$JS.API.STREAM.DELETE.CW_CATALOG'],
    ['versioning', '$JS.API.STREAM.PURGE.CW_VERSIONING'],
    ['catalog', '$JS.API.STREAM.UPDATE.CW_VERSIONING'],
    ['catalog', '$JS.API.CONSUMER.CREATE.CW_VERSIONING.review--versioning--0'],
    ['catalog', '$JS.API.CONSUMER.DELETE.CW_VERSIONING.review--versioning--0'],
    ['catalog', '$JS.ACK.CW_VERSIONING.review--versioning--0.1.1.1.1.0'],
    ['catalog', 'cw.relay.versioning'],
    ['content', '$JS.API.CONSUMER.MSG.NEXT.CW_VERSIONING.catalog--versioning--0'],
    ['gateway', '$JS.API.STREAM.INFO.CW_VERSIONING'],
  ])('%s may not send %s', async (user, subject) => {
    const connection = await connectionOf(user);
    await expect(connection.request(subject, '{}', { timeout: 1_000 })).rejects.toThrow(/permissions violation/i);
  });

  it('the passwords are in a file for its owner alone', () => {
    expect(statSync(join(folder, 'nats.conf')).mode & 0o777).toBe(0o600);
  });
});

async function ask(url, text) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

describe('on PostgreSQL', () => {
  const roles = runtimeRoles({ passwords: keys.postgres });
  const urlOf = (name) => runtimeUrl(name, { postgresUrl: urls.postgres, password: keys.postgres[name] });
  beforeAll(async () => {
    // Three starts at once, as of impatient people.
    await Promise.all([1, 2, 3].map(() => migrateAll(urls.postgres, { roles, own: true })));
  }, 60_000);

  it('a service reads and writes its rows, as a role that owns nothing', async () => {
    for (const name of serviceNames) {
      await ask(urlOf(name), `INSERT INTO course_seq VALUES ('${COURSE}', 1)`);
      expect(await ask(urlOf(name), 'UPDATE course_seq SET n = n + 1 RETURNING n')).toEqual([{ n: '2' }]);
      await ask(urlOf(name), 'DELETE FROM course_seq');
      expect(await ask(urlOf(name), `SELECT tablename FROM pg_tables WHERE tableowner = current_user`)).toEqual([]);
      await ask(urlOf(name), `SELECT nextval('outbox_id_seq')`);
    }
  });

  it.each([
    ['make a table', 'CREATE TABLE mine (n int)'],
    ['drop a table', 'DROP TABLE outbox'],
    ['change a table', 'ALTER TABLE ref_log DISABLE TRIGGER ALL'],
    ['empty a table', 'TRUNCATE outbox'],
    ['see the migrations', 'SELECT * FROM _prisma_migrations'],
    ['change what is append-only', `UPDATE ref_log SET actor = 'eve'`],
    ['delete what is append-only', 'DELETE FROM ref_log'],
    ['take a role', 'SET ROLE postgres'],
  ])('a service cannot %s', async (_, text) => {
    await expect(ask(urlOf('versioning'), text)).rejects.toThrow(/permission denied|must be owner/);
  });

  it('a service adds to what is append-only, and reads it', async () => {
    const row = `'${COURSE}', 1, 'main', NULL, NULL, 'ann', 'commit', now(), '', ''`;
    await ask(urlOf('versioning'), `INSERT INTO ref_log VALUES (${row})`);
    expect(await ask(urlOf('versioning'), 'SELECT actor FROM ref_log')).toEqual([{ actor: 'ann' }]);
  });

  it('a service enters its own database and no other', async () => {
    for (const other of ['postgres', 'template1', 'cw_review']) {
      const url = new URL(urlOf('catalog'));
      url.pathname = `/${other}`;
      await expect(ask(url.href, 'SELECT 1')).rejects.toThrow('permission denied for database');
    }
  });

  it('a user who may not make roles is told what to run, and serves once the roles are named', async () => {
    await ask(urls.postgres, `CREATE ROLE guest LOGIN CREATEDB PASSWORD 'guest'`);
    const guest = withUser(urls.postgres, 'guest', 'guest');
    await ask(urls.postgres, 'GRANT CONNECT ON DATABASE postgres TO guest');
    await ask(guest, 'SELECT 1');
    for (const name of serviceNames) await ask(urls.postgres, `DROP DATABASE cw_${name} WITH (FORCE)`);
    await expect(migrateAll(guest, { roles })).rejects.toThrow(/CREATE ROLE cw_catalog LOGIN[^]*CATALOG_DATABASE_URL/);
    const env = Object.fromEntries(serviceNames.map((name) => [`${name.toUpperCase()}_DATABASE_URL`, urlOf(name)]));
    await migrateAll(guest, { roles: runtimeRoles({ passwords: {}, env }) });
    expect(await ask(urlOf('catalog'), 'SELECT n FROM course_seq')).toEqual([]);
    await expect(ask(urlOf('catalog'), 'DROP TABLE outbox')).rejects.toThrow('must be owner');
    expect(
      await ask(databaseUrl(guest, 'catalog'), `SELECT tableowner FROM pg_tables WHERE tablename = 'outbox'`),
    ).toEqual([{ tableowner: 'guest' }]);
  }, 60_000);

  it('data that were made without passwords ask for one after the next start, and a lost password is renewed', async () => {
    const noPassword = urls.postgres.replace(/:[^:@]*@/, '@');
    await expect(ask(noPassword, 'SELECT 1')).rejects.toThrow(/password/);
    await supervisor.stop('postgres');
    const hba = join(folder, 'postgres/pg_hba.conf');
    writeFileSync(hba, readFileSync(hba, 'utf8').replaceAll('scram-sha-256', 'trust'));
    rmSync(join(folder, 'postgres.password.sha256'));
    urls = { ...urls, ...(await startServers(['postgres'])) };
    await expect(ask(noPassword, 'SELECT 1')).rejects.toThrow(/password/);
    expect(await ask(urls.postgres, 'SELECT current_user AS me')).toEqual([{ me: 'postgres' }]);
    await supervisor.stop('postgres');
    const other = newKeys();
    const again = await startServers(['postgres'], other);
    await expect(ask(urls.postgres, 'SELECT 1')).rejects.toThrow(/password authentication failed/);
    expect(await ask(again.postgres, 'SELECT current_user AS me')).toEqual([{ me: 'postgres' }]);
  }, 60_000);

  it('the file of rules loses every open door and keeps its comments', () => {
    const text =
      '# "trust" lets everybody in\nhost all all 127.0.0.1/32 trust\nlocal all all\ttrust\nhost a trust_me ::1/128 md5\n';
    expect(withPasswords(text)).toBe(
      '# "trust" lets everybody in\nhost all all 127.0.0.1/32 scram-sha-256\nlocal all all\tscram-sha-256\nhost a trust_me ::1/128 md5\n',
    );
  });
});

describe('the secrets of a process', () => {
  it('hold its own private key and passwords and nobody else’s', () => {
    for (const name of processNames) {
      const text = JSON.stringify(secretsOf(name, keys));
      const others = processNames.filter((other) => other !== name);
      const foreign = [
        ...others.map((other) => keys.internal[other].d),
        ...others.map((other) => keys.nats[other]),
        ...serviceNames.filter((other) => other !== name).map((other) => keys.postgres[other]),
        ...[keys.postgres.owner, keys.nats.admin, keys.nats.subscriber, keys.issuer.d],
      ];
      expect(text).toContain(keys.internal[name].d);
      expect(foreign.filter((secret) => text.includes(secret))).toEqual([]);
    }
  });
});
