import { z } from 'zod';
import type { Method, Route } from './http/route.js';
import { answerShapes, requestShapes } from './shapes/common.js';
import { refusalResponses } from './openapi-refusals.js';
import { problemShape } from './shapes/problem.js';

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of a table of routes; its schemas are those that check the requests. */
export function openApiDocument(routes: readonly Route[], publicUrl: string): Json {
  const paths = Object.create(null) as Record<string, Json>;
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method]: operation(route) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Coursewright',
      version: '0.1.0',
      description: 'Teams write, version, review, publish and deploy courses.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: `${publicUrl}/api` }],
    security: [{ bearer: [] }],
    tags: [...new Set(routes.map(({ tag }) => tag))].sort().map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { ...namedSchemas(answerShapes, 'output'), ...namedSchemas(requestShapes, 'input') },
      responses: { Problem: { description: 'What went wrong', content: problemContent() } },
    },
  };
}

function namedSchemas(registry: typeof answerShapes, io: 'input' | 'output'): Json {
  const { schemas } = z.toJSONSchema(registry, { uri: reference, io });
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, bare(schema as Json)]));
}

const reference = (id: string): string => `#/components/schemas/${id}`;

/** A schema without the words that only stand at the root of a document. */
function bare(schema: Json): Json {
  const { $schema: _schema, $id: _id, id: _name, ...rest } = schema;
  return rest;
}

/** By name where it has one. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const known = answerShapes.get(schema) ?? requestShapes.get(schema);
  return known ? { $ref: reference(known.id) } : bare(z.toJSONSchema(schema, { io, reused: 'inline' }));
}

function problemContent(): Json {
  return { 'application/problem+json': { schema: schemaOf(problemShape, 'output') } };
}

function operation(route: Route): Json {
  const { permission } = route;
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    ...(route.description ? { description: route.description } : {}),
    ...(permission.of === 'public' ? { security: [] } : {}),
    'x-permission': permission,
    'x-feature': route.feature,
    parameters: [...fields(route.params, 'path'), ...fields(route.query, 'query'), ...headerParameters(route)],
    ...(route.body ? { requestBody: requestBody(route.body) } : {}),
    responses: responses(route),
  };
}

/** getCourse, postCourseUnits: method and path, with by-id segments in the singular. */
function operationId(route: { readonly method: Method; readonly path: string }): string {
  const parts = route.path.split('/').filter((part) => part !== '');
  const words = parts.flatMap((part, i) => {
    if (part.startsWith('{')) return [];
    const word = part.replace(/[^a-z]/gi, '');
    const name = parts[i + 1]?.startsWith('{') ? word.replace(/s$|(?<=h)es$/, '') : word;
    return [name.charAt(0).toUpperCase() + name.slice(1)];
  });
  return route.method + words.join('');
}

function fields(object: z.ZodObject, place: 'path' | 'query'): Json[] {
  return Object.entries(object.shape as Record<string, z.ZodType>).map(([name, schema]) => {
    const { description, ...rest } = schemaOf(schema, 'output');
    const required = place === 'path' || !schema.safeParse(undefined).success;
    return { name, in: place, required, schema: rest, ...(description === undefined ? {} : { description }) };
  });
}

function headerParameters(route: Route): Json[] {
  const header = (name: string, description: string, required = false): Json => ({
    name,
    in: 'header',
    required,
    schema: { type: 'string' },
    description,
  });
  if (route.method === 'get') return [header('If-None-Match', 'ETag of what the client has: 304 when it is the same')];
  const key = header('Idempotency-Key', 'The same key and request answers as the first time');
  return route.current ? [header('If-Match', 'ETag of what was read, or *', true), key] : [key];
}

const binary: Json = { type: 'string', format: 'binary' };

function requestBody(body: NonNullable<Route['body']>): Json {
  if (body.kind === 'archive')
    return { required: true, content: Object.fromEntries(body.types.map((type) => [type, { schema: binary }])) };
  return { required: true, content: { 'application/json': { schema: schemaOf(body.schema, 'input') } } };
}

function responses(route: Route): Json {
  const type = route.answers ?? 'application/json';
  const answers = Object.entries(route.responses).map(([status, schema]): [string, Json] => [
    status,
    {
      description: route.summary,
      headers: headersOf(route),
      ...(schema === null ? {} : { content: { [type]: { schema: schemaOf(schema, 'output') } } }),
    },
  ]);
  const problem = { $ref: '#/components/responses/Problem' };
  return {
    ...Object.fromEntries(answers),
    ...(route.method === 'get' ? { 304: { description: 'Not changed' } } : {}),
    ...refusalResponses(route, problemContent()),
    default: problem,
  };
}

function headersOf(route: Route): Json {
  const text = (description: string): Json => ({ description, schema: { type: 'string' } });
  return {
    'X-Request-Id': text('Names this request in logs and problems'),
    ETag: text('Names this representation'),
    ...(route.write ? { Commit: text('The commit that the write made; absent when it made none') } : {}),
    ...(201 in route.responses || 202 in route.responses ? { Location: text('Where the new thing is') } : {}),
    ...(route.method === 'put' && route.body?.kind === 'document'
      ? { 'Content-Location': text('Where the document is read as it is stored') }
      : {}),
  };
}
