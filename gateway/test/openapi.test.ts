import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { Route } from '../src/http/route.js';
import { reasons } from '../src/http/reasons.js';
import { openApiDocument } from '../src/openapi.js';
import { createRoutes } from '../src/routes/table.js';

type Json = Record<string, unknown>;
const routes = createRoutes('http://gateway.test');
const document = openApiDocument(routes, 'http://gateway.test');
const paths = document['paths'] as Record<string, Record<string, Json>>;
const { schemas } = document['components'] as { schemas: Record<string, Json> };

function walk(value: unknown, visit: (object: Json) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) visit(value as Json);
  for (const one of Object.values(value)) walk(one, visit);
}

describe('the OpenAPI document', () => {
  it('has every route of the table, each with an operation id of its own', () => {
    const operations = routes.map(({ method, path }) => paths[path]?.[method]);
    expect(operations.every((one) => one !== undefined)).toBe(true);
    expect(new Set(operations.map((one) => one!['operationId'])).size).toBe(routes.length);
  });

  it('has the routes of the contract', () => {
    const expected = `GET POST /courses | GET PUT PATCH DELETE /courses/{id} | POST /courses/{id}/restore
      | GET POST /courses/{id}/units | GET POST /courses/{id}/modules | GET POST /units/{id}/modules
      | GET POST /modules/{id}/lessons | GET PATCH DELETE /nodes/{id} | GET /courses/{id}/outline
      | GET PUT /lessons/{id}/content | GET /lessons/{id}/rendered | POST /imports | GET /imports/{id}
      | GET /courses/{id}/commits | GET /nodes/{id}/history | GET /courses/{id}/compare
      | GET POST /courses/{id}/branches | GET /courses/{id}/branches/{name}`;
    for (const line of expected.split('|')) {
      const words = line.trim().split(/\s+/);
      const path = words.pop()!;
      for (const method of words) expect(paths[path]?.[method.toLowerCase()]).toBeDefined();
    }
  });

  it('resolves every reference', () => {
    const broken: unknown[] = [];
    walk(document, ({ $ref }) => {
      if (typeof $ref !== 'string') return;
      const found = $ref
        .split('/')
        .slice(1)
        .reduce<unknown>((at, key) => (at as Json | undefined)?.[key], document);
      if (found === undefined) broken.push($ref);
    });
    expect(broken).toEqual([]);
  });

  it('is strict about requests and open about answers', () => {
    for (const [name, schema] of Object.entries(schemas)) {
      if (schema['type'] !== 'object') continue;
      const isRequest = /(Create|Patch|Replace)$/.test(name);
      expect([name, schema['additionalProperties'] === false]).toEqual([name, isRequest]);
    }
  });

  it('tells who may use each route, which headers it wants, and that it may fail', () => {
    for (const route of routes) {
      const operation = paths[route.path]![route.method]!;
      expect(operation['x-permission']).toEqual(route.permission);
      const names = (operation['parameters'] as Json[]).map(({ name }) => name);
      expect(names.includes('If-Match')).toBe(route.current !== undefined);
      expect(names.includes('Idempotency-Key')).toBe(route.write !== undefined);
      for (const [, name] of route.path.matchAll(/\{(\w+)\}/g)) expect(names).toContain(name);
      expect((operation['responses'] as Json)['default']).toBeDefined();
    }
  });

  it('groups routes by resource, and keeps the row of the feature list beside that', () => {
    const named = (document['tags'] as Json[]).map(({ name }) => name);
    for (const route of routes) {
      const { tags, 'x-feature': feature } = paths[route.path]![route.method]!;
      expect(tags).toEqual([route.tag]);
      expect(named).toContain(route.tag);
      expect(route.tag).toMatch(/^[A-Z][a-z]+$/);
      expect(feature).toBe(route.feature);
    }
  });

  it('names each operation by a word that a client can have as a method', () => {
    for (const route of routes)
      expect(paths[route.path]![route.method]!['operationId']).toMatch(/^(get|post|put|patch|delete)[A-Z][A-Za-z]+$/);
  });

  it('has a schema for each media type, also for archives, the page and the schema', () => {
    const media: [string, Json][] = [];
    walk(paths, (object) => {
      const { content } = object as { content?: Record<string, Json> };
      // Properties of that name have no slash in theirs.
      media.push(...Object.entries(content ?? {}).filter(([type]) => type.includes('/')));
    });
    expect(media.length).toBeGreaterThan(100);
    for (const [type, { schema }] of media) expect([type, Object.keys(schema ?? {}).length > 0]).toEqual([type, true]);
    const body = paths['/imports']!['post']!['requestBody'] as { content: Json };
    expect(body.content['application/gzip']).toEqual({ schema: { type: 'string', format: 'binary' } });
    const types = (path: string): string[] => {
      const { 200: ok } = paths[path]!['get']!['responses'] as Record<number, { content: Json }>;
      return Object.keys(ok!.content);
    };
    expect(types('/docs')).toEqual(['text/html']);
    expect(types('/schemas/lesson-content')).toEqual(['application/schema+json']);
    expect(types('/openapi.json')).toEqual(['application/json']);
  });

  it('lists with each operation how it may be refused, with the words of docs/errors.md', () => {
    const listed = new Map(
      [
        ...readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8').matchAll(/^\| `(\w+)` \| (\d+) \|/gm),
      ].map(([, reason, status]) => [reason!, Number(status)]),
    );
    for (const [reason, status] of Object.entries(reasons))
      expect([reason, listed.get(reason)]).toEqual([reason, status]);
    const statuses = (route: Route): number[] =>
      Object.keys(paths[route.path]![route.method]!['responses'] as Json).map(Number);
    for (const route of routes) {
      const all = statuses(route);
      expect(all).toEqual(expect.arrayContaining([400, 429, 503]));
      expect(all.includes(401)).toBe(route.permission.of !== 'public');
      expect(all.includes(403)).toBe(['course', 'node', 'platform', 'import-target'].includes(route.permission.of));
      expect(all.includes(428) && all.includes(412)).toBe(route.current !== undefined);
      expect(all.includes(415) && all.includes(413) && all.includes(408)).toBe(route.body !== undefined);
      expect(all.includes(409) && all.includes(422)).toBe(route.write !== undefined);
      for (const status of all.filter((one) => one >= 400)) {
        const answer = (paths[route.path]![route.method]!['responses'] as Record<number, Json>)[status]!;
        expect(answer['content']).toEqual({
          'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
        });
        for (const reason of answer['x-reasons'] as string[]) expect(listed.get(reason)).toBe(status);
      }
    }
  });

  it('has the form of OpenAPI 3.1: what clients are generated from', () => {
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'Coursewright' } });
    for (const route of routes) {
      const operation = paths[route.path]![route.method]!;
      const parameters = operation['parameters'] as { name: string; in: string; required: boolean; schema: Json }[];
      const inPath = parameters.filter((one) => one.in === 'path').map(({ name }) => name);
      expect(inPath).toEqual([...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
      for (const one of parameters) expect(one.in === 'path' ? one.required : true).toBe(true);
      const keys = parameters.map((one) => `${one.in} ${one.name}`);
      expect(new Set(keys).size).toBe(keys.length);
      for (const answer of Object.values(operation['responses'] as Record<string, Json>))
        expect(typeof answer['description'] === 'string' || typeof answer['$ref'] === 'string').toBe(true);
    }
    for (const [name, schema] of Object.entries(schemas)) {
      expect(name).toMatch(/^[A-Za-z0-9._-]+$/);
      expect([name, 'type' in schema || '$ref' in schema || 'anyOf' in schema]).toEqual([name, true]);
    }
  });

  it('says the limits that are checked', () => {
    const limit = (paths['/courses']!['get']!['parameters'] as Json[]).find(({ name }) => name === 'limit');
    expect(limit).toMatchObject({
      in: 'query',
      required: false,
      schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 },
    });
    expect(schemas['CourseCreate']).toMatchObject({ required: ['title'], additionalProperties: false });
  });
});
