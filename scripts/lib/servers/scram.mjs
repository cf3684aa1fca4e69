// Passwords as PostgreSQL keeps them, so that none travels in a statement, where logs would keep it.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

const ROUNDS = 4096;

/** What CREATE ROLE and ALTER ROLE take in the place of a password (SCRAM-SHA-256, RFC 7677); plain ASCII without quotes. */
export function scramSecret(password, salt = randomBytes(16)) {
  const salted = pbkdf2Sync(password, salt, ROUNDS, 32, 'sha256');
  const keyOf = (name) => createHmac('sha256', salted).update(name).digest();
  const stored = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${ROUNDS}:${salt.toString('base64')}$${stored}:${keyOf('Server Key').toString('base64')}`;
}
