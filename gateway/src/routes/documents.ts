import { lessonJsonSchema } from '@coursewright/course-model/lesson';
import { z } from 'zod';
import { route, type Route } from '../http/route.js';
import { docsPage } from '../docs-page.js';
import { openApiDocument } from '../openapi.js';
import * as common from '../shapes/common.js';

const open = { params: common.noQuery, query: common.noQuery, permission: { of: 'public' } } as const;
const anyJson = z.looseObject({});
const schemaType = 'application/schema+json';
const htmlType = 'text/html';

/** What describes the API itself; made once, from the table that routes it. */
export function documentRoutes(publicUrl: string, all: () => readonly Route[]): readonly Route[] {
  let document: string | undefined;
  let page: string | undefined;
  const schema = JSON.stringify({ $id: `${publicUrl}/api/schemas/lesson-content`, ...lessonJsonSchema() });
  return [
    route({
      ...open,
      method: 'get',
      path: '/openapi.json',
      feature: 'F3',
      tag: 'Documents',
      summary: 'This document',
      responses: { 200: anyJson },
      async handle() {
        document ??= JSON.stringify(openApiDocument(all(), publicUrl));
        return { status: 200, json: document, etag: [] };
      },
    }),
    route({
      ...open,
      method: 'get',
      path: '/schemas/lesson-content',
      feature: 'B1',
      tag: 'Documents',
      summary: 'The JSON Schema of a lesson document',
      answers: schemaType,
      responses: { 200: anyJson },
      handle: async () => ({ status: 200, json: schema, etag: [], contentType: `${schemaType}; charset=utf-8` }),
    }),
    route({
      ...open,
      method: 'get',
      path: '/docs',
      feature: 'F3',
      tag: 'Documents',
      summary: 'The routes as a page',
      answers: htmlType,
      responses: { 200: z.string() },
      async handle() {
        page ??= docsPage(all());
        return { status: 200, json: page, etag: [], contentType: `${htmlType}; charset=utf-8` };
      },
    }),
  ];
}
