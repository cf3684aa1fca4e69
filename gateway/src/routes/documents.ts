import { lessonJsonSchema } from '@coursewright/course-model/lesson';
import { z } from 'zod';
import { route, type Route } from '../http/route.js';
import { docsPage } from '../docs-page.js';
import { openApiDocument } from '../openapi.js';
import * as common from '../shapes/common.js';

const open = { params: common.noQuery, query: common.noQuery, permission: { of: 'public' } } as const;
const anyJson = z.looseObject({});

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
      summary: 'The JSON Schema of a lesson document',
      responses: { 200: anyJson },
      handle: async () => ({
        status: 200,
        json: schema,
        etag: [],
        contentType: 'application/schema+json; charset=utf-8',
      }),
    }),
    route({
      ...open,
      method: 'get',
      path: '/docs',
      feature: 'F3',
      summary: 'The routes as a page',
      responses: { 200: anyJson },
      async handle() {
        page ??= docsPage(all());
        return { status: 200, json: page, etag: [], contentType: 'text/html; charset=utf-8' };
      },
    }),
  ];
}
