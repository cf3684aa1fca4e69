import { createHash } from 'node:crypto';
import { isNormalizable } from '@coursewright/course-model/text-rules';

/** Characters of the key of a block. */
export const MAX_KEY = 480;

/** The key `type/url_name` of a block as it is stored: in NFC, and with a hash for what is too long or has no normal form that can be found in time. */
export function blockKey(key: string): string {
  if (!isNormalizable(key)) return `${key.slice(0, key.indexOf('/') + 1)}~${hashOf(key)}`;
  const plain = key.normalize('NFC');
  if (plain.length <= MAX_KEY) return plain;
  return `${plain.slice(0, MAX_KEY - 50).replace(/[\ud800-\udbff]$/, '')}~${hashOf(plain)}`;
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}
