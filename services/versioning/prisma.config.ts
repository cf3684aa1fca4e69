import { fileURLToPath } from 'node:url';
import { defineConfig } from 'prisma/config';

// Prisma's own engine is a native download; ours speaks the same protocol and comes with the packages.
if (!process.env.PRISMA_NATIVE_ENGINE)
  process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= fileURLToPath(
    new URL('../../scripts/schema-engine.mjs', import.meta.url),
  );

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL ?? 'postgresql://postgres@127.0.0.1:5432/versioning' },
});
