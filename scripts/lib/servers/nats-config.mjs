// The configuration of nats-server: who may say and hear what. One account, a user for each process.
import { serviceNames } from '../names.mjs';

/** Whose events each service takes: it has one durable for each partition of their streams. */
const consumes = { catalog: ['versioning', 'review'], review: ['versioning'], deployment: ['versioning'] };
const partitions = [...'0123456789abcdef'];

const streamOf = (source) => `CW_${source.toUpperCase()}`;

/** Where replicas of a service tell each other that events wait to be published. */
const wakeOf = (service) => `cw.relay.${service}`;

/**
 * What a service may publish: its own events, and the requests by which it keeps its own stream and reads through its own
 * durables. Whether the stream of a source is there it may ask, since it has to know when it was lost.
 */
function publishedBy(service) {
  const own = ['CREATE', 'UPDATE', 'INFO', 'DELETE'].map((verb) => `$JS.API.STREAM.${verb}.${streamOf(service)}`);
  const reads = (consumes[service] ?? []).flatMap((source) => {
    const stream = streamOf(source);
    const durables = partitions.map((partition) => `${stream}.${service}--${source}--${partition}`);
    return [
      `$JS.API.STREAM.INFO.${stream}`,
      `$JS.API.CONSUMER.LIST.${stream}`,
      ...durables.flatMap((durable) => [
        // With the filter of the durable behind it.
        `$JS.API.CONSUMER.CREATE.${durable}.>`,
        ...['INFO', 'DELETE', 'MSG.NEXT'].map((verb) => `$JS.API.CONSUMER.${verb}.${durable}`),
        `$JS.ACK.${durable}.>`,
      ]),
    ];
  });
  return [`cw.v1.${service}.>`, wakeOf(service), '$JS.API.INFO', ...own, ...reads];
}

/** Who may say and hear what: `{user: {publish, subscribe}}`, each a list of subjects; the admin, who may all, is not in it. */
export function natsPermissions() {
  const listener = { publish: [], subscribe: ['cw.v1.>'] };
  return {
    // Answers go to an inbox that only the asker hears.
    ...Object.fromEntries(
      serviceNames.map((name) => [name, { publish: publishedBy(name), subscribe: [`_INBOX_${name}.>`, wakeOf(name)] }]),
    ),
    gateway: listener,
    subscriber: listener,
  };
}

const text = (value) => JSON.stringify(value);

function rule(name, subjects) {
  return subjects.length > 0
    ? `${name}: { allow: [${subjects.map(text).join(', ')}] }`
    : `${name}: { deny: ${text('>')} }`;
}

/**
 * The text of the file, understood by nats-server 2.9 and newer. `passwords` has one for each user, `monitor` is a port for
 * health checks, on all addresses.
 */
export function natsConfig({ host, port, data, passwords, monitor }) {
  const users = Object.entries(natsPermissions()).map(
    ([user, { publish, subscribe }]) =>
      `    { user: ${user}, password: ${text(passwords[user])}, permissions: {\n` +
      `        ${rule('publish', publish)}\n        ${rule('subscribe', subscribe)} } }`,
  );
  return [
    '# Written at each start; a change here is lost.',
    `listen: ${text(`${host}:${port}`)}`,
    ...(monitor ? [`http: ${text(`${host}:${monitor}`)}`] : []),
    `jetstream { store_dir: ${text(data)} }`,
    'authorization {',
    '  users = [',
    ...users,
    `    { user: admin, password: ${text(passwords.admin)} }`,
    '  ]',
    '}',
    '',
  ].join('\n');
}
