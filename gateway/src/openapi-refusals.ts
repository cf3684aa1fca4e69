import { STATUS_CODES } from 'node:http';
import { reasons, type Reason } from './http/reasons.js';
import type { Permission, Route } from './http/route.js';

type Json = Record<string, unknown>;

/** Each status with which a route may refuse a request, and the reasons; derived from what the route says of itself. */
export function refusalsOf(route: Route): ReadonlyMap<number, readonly Reason[]> {
  const all = new Set<Reason>([
    'INVALID_REQUEST',
    'OVERLOADED',
    'TOO_MANY_REQUESTS',
    ...ofPermission(route.permission),
    ...ofRequest(route),
    ...(route.reasons ?? []),
  ]);
  const byStatus = new Map<number, Reason[]>();
  for (const reason of [...all].sort()) {
    const status = reasons[reason];
    byStatus.set(status, [...(byStatus.get(status) ?? []), reason]);
  }
  return new Map([...byStatus].sort(([one], [other]) => one - other));
}

/** The refusals of a route as responses of its operation. */
export function refusalResponses(route: Route, content: Json): Json {
  const responses = [...refusalsOf(route)].map(([status, names]): [number, Json] => [
    status,
    {
      description: `${STATUS_CODES[status] ?? 'Refused'}: ${names.join(', ')}`,
      'x-reasons': names,
      ...(status === 429 || status === 503 || status === 409 ? { headers: { 'Retry-After': retryAfter } } : {}),
      content,
    },
  ]);
  return Object.fromEntries(responses);
}

const retryAfter: Json = { description: 'Seconds after which to try again', schema: { type: 'integer' } };

function ofPermission(permission: Permission): readonly Reason[] {
  const away = ['SERVICE_UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL_TOKEN_INVALID'] as const;
  const signedIn = ['TOKEN_MISSING', 'TOKEN_INVALID', ...away] as const;
  switch (permission.of) {
    case 'public':
      return [];
    case 'signed-in':
      return signedIn;
    case 'platform':
      return [...signedIn, 'FORBIDDEN'];
    case 'course':
    case 'import-target':
      return [...signedIn, 'COURSE_NOT_FOUND', 'FORBIDDEN'];
    case 'node':
      return [...signedIn, 'NODE_NOT_FOUND', 'FORBIDDEN'];
    case 'import':
      return [...signedIn, 'IMPORT_NOT_FOUND'];
    case 'asset':
      return [...signedIn, 'ASSET_NOT_FOUND'];
  }
}

function ofRequest(route: Route): readonly Reason[] {
  const names = Object.keys(route.query.shape);
  const all: Reason[] = [];
  if (names.includes('cursor')) all.push('CURSOR_INVALID');
  if (names.includes('branch') || names.includes('at')) all.push('REF_NOT_FOUND');
  if (names.includes('at')) all.push('PUBLISHED_ONLY');
  if (names.includes('expectedHead')) all.push('STALE', 'BRANCH_PROTECTED');
  if (route.current) all.push('STALE', 'IF_MATCH_REQUIRED');
  if (route.write) all.push('IDEMPOTENCY_KEY_REUSED', 'IN_PROGRESS');
  if (route.write && !route.body) all.push('BODY_NOT_EXPECTED');
  if (route.body) all.push('BODY_TOO_LARGE', 'BODY_INCOMPLETE', 'MEDIA_TYPE_UNSUPPORTED', 'REQUEST_TIMEOUT');
  if (route.body && route.body.kind !== 'archive') all.push('BODY_MISSING', 'MALFORMED_JSON');
  return all;
}
