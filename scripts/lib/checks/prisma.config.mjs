// Prisma's configuration for the drift check of any service: schema, migrations and database come from the environment.
import { defineConfig } from 'prisma/config';

const { DRIFT_SCHEMA: schema, DRIFT_MIGRATIONS: path, DATABASE_URL: url } = process.env;

export default defineConfig({ schema, migrations: { path }, datasource: { url } });
