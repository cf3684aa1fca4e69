// The events as an AsyncAPI document, made from their protobuf messages, so that the two cannot differ.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buf } from './contracts.mjs';
import { root } from './paths.mjs';

/** Where the document lies. */
export const ASYNCAPI = join(root, 'docs/events/asyncapi.json');

const PACKAGE = 'coursewright.events.v1';
const scalars = {
  TYPE_STRING: { type: 'string' },
  TYPE_BOOL: { type: 'boolean' },
  TYPE_INT32: { type: 'integer' },
  // proto3 JSON writes 64-bit numbers as strings.
  TYPE_INT64: { type: 'string', format: 'int64' },
  TYPE_BYTES: { type: 'string', contentEncoding: 'base64' },
};
const wellKnown = {
  '.google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  '.google.protobuf.Struct': { type: 'object' },
  '.google.protobuf.Value': {},
};

/** The whole document as text. */
export async function asyncApi() {
  const files = await descriptors();
  const messages = new Map();
  const enums = new Map();
  for (const file of files) {
    const comments = commentsOf(file);
    (file.messageType ?? []).forEach((message, index) => {
      const fields = (message.field ?? []).map((field, at) => ({
        ...field,
        comment: comments.get(`4,${index},2,${at}`),
      }));
      messages.set(`.${file.package}.${message.name}`, {
        ...message,
        field: fields,
        file: file.name,
        comment: comments.get(`4,${index}`),
      });
    });
    for (const one of file.enumType ?? []) enums.set(`.${file.package}.${one.name}`, one);
  }
  const events = [...messages].filter(([name, { field }]) => {
    const has = (wanted) => field.some((one) => one.name === wanted);
    return name.startsWith(`.${PACKAGE}.`) && has('course_id') && has('at');
  });
  const document = {
    asyncapi: '3.0.0',
    info: {
      title: 'Coursewright events',
      version: '1.0.0',
      description:
        'CloudEvents 1.0 in binary mode on NATS JetStream: attributes are headers, the body is proto3 JSON. One stream a source (CW_<SOURCE>). ' +
        'Delivery is at least once; ce-courseseq counts the events of one source and course from 1 without gaps, so a consumer knows what it has had and what it lacks.',
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(events.map(([, event]) => channelOf(event))),
    operations: Object.fromEntries(events.map(([, event]) => operationOf(event))),
    components: {
      messages: Object.fromEntries(events.map(([name, event]) => [event.name, messageOf(name, event)])),
      schemas: schemasOf(
        messages,
        enums,
        events.map(([name]) => name),
      ),
    },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

async function descriptors() {
  const folder = mkdtempSync(join(tmpdir(), 'asyncapi-'));
  try {
    const image = join(folder, 'image.json');
    await buf(['build', '-o', `${image}#format=json`]);
    return JSON.parse(readFileSync(image, 'utf8')).file;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function commentsOf(file) {
  const notes = (file.sourceCodeInfo?.location ?? []).filter((location) => location.leadingComments);
  return new Map(
    notes.map(({ path, leadingComments }) => [path.join(), leadingComments.trim().replaceAll(/\s+/g, ' ')]),
  );
}

const kebab = (name) => name.replaceAll(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase();
const sourceOf = (event) => event.file.split('/').at(-1).replace('.proto', '');
const idOf = (event) => `${sourceOf(event)}.${kebab(event.name)}`;

function channelOf(event) {
  return [
    idOf(event),
    {
      address: `cw.v1.${idOf(event)}.{partition}.{courseId}`,
      parameters: {
        partition: {
          enum: [...'0123456789abcdef'],
          description: 'The last hex digit of the course’s id: one of 16 partitions.',
        },
        courseId: { description: 'The course that the event is about.' },
      },
      messages: { [event.name]: { $ref: `#/components/messages/${event.name}` } },
    },
  ];
}

function operationOf(event) {
  return [`send-${kebab(event.name)}`, { action: 'send', channel: { $ref: `#/channels/${idOf(event)}` } }];
}

function messageOf(name, event) {
  const text = { type: 'string' };
  return {
    name: `coursewright.${idOf(event)}.v1`,
    ...(event.comment ? { summary: event.comment } : {}),
    headers: {
      type: 'object',
      required: ['ce-id', 'ce-source', 'ce-type', 'ce-subject', 'ce-time', 'ce-courseseq', 'ce-epoch'],
      properties: {
        'ce-specversion': { const: '1.0' },
        'ce-id': { ...text, format: 'uuid' },
        'ce-source': { const: `/coursewright/${sourceOf(event)}` },
        'ce-type': { const: `coursewright.${idOf(event)}.v1` },
        'ce-subject': { ...text, format: 'uuid', description: 'The course.' },
        'ce-time': { ...text, format: 'date-time' },
        'ce-courseseq': { ...text, description: 'Counts the events of this source and course from 1.' },
        'ce-epoch': {
          ...text,
          description: 'Renewed by a restore from backup: then start over from the source’s state.',
        },
        traceparent: { ...text, description: 'W3C trace context of the request that led to the event.' },
      },
    },
    payload: { $ref: `#/components/schemas/${name.split('.').at(-1)}` },
  };
}

/** The schemas of these messages and of all they contain. */
function schemasOf(messages, enums, names) {
  const schemas = {};
  const typeOf = ({ type, typeName }) => {
    if (type === 'TYPE_ENUM') return { enum: enums.get(typeName).value.map(({ name }) => name) };
    if (type !== 'TYPE_MESSAGE') return scalars[type];
    if (wellKnown[typeName]) return wellKnown[typeName];
    add(typeName);
    return { $ref: `#/components/schemas/${typeName.split('.').at(-1)}` };
  };
  const add = (name) => {
    const short = name.split('.').at(-1);
    if (schemas[short]) return;
    const { field, comment } = messages.get(name);
    schemas[short] = { type: 'object', ...(comment ? { description: comment } : {}), properties: {} };
    for (const one of field) {
      const type = typeOf(one);
      const whole = one.label === 'LABEL_REPEATED' ? { type: 'array', items: type } : type;
      schemas[short].properties[one.jsonName] = { ...whole, ...(one.comment ? { description: one.comment } : {}) };
    }
  };
  names.forEach(add);
  return schemas;
}
