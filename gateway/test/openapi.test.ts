import { describe, expect, it } from '@jest/globals';
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
