import type { Route } from './http/route.js';

/** The routes as a small page without scripts. */
export function docsPage(routes: readonly Route[]): string {
  const rows = routes.map((route) => {
    const needs =
      route.permission.of === 'public'
        ? 'nobody'
        : 'action' in route.permission
          ? route.permission.action
          : route.permission.of;
    const cells = [route.method.toUpperCase(), `/api${route.path}`, route.summary, needs, route.feature];
    return `<tr>${cells.map((cell) => `<td>${escape(cell)}</td>`).join('')}</tr>`;
  });
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Coursewright API</title>
<style>body{font:15px/1.5 system-ui;margin:2rem auto;max-width:64rem;padding:0 1rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}td:nth-child(-n+2){font-family:ui-monospace,monospace}</style>
<h1>Coursewright API</h1><p>OpenAPI 3.1: <a href="/api/openapi.json">/api/openapi.json</a>.
JSON Schema of lesson documents: <a href="/api/schemas/lesson-content">/api/schemas/lesson-content</a>.</p>
<table><tr><th>Method<th>Path<th>What it does<th>Who<th>Feature</tr>${rows.join('\n')}</table></html>`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
