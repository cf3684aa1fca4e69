import { PrismaPg } from '@prisma/adapter-pg';
import { openPool } from '@coursewright/platform/sql';
import { prismaDatabase, statementNames, type PrismaDatabase, type PrismaTx } from '@coursewright/platform/prisma-sql';
import type pg from 'pg';
import { PrismaClient, type Prisma } from '../generated/prisma/client.js';

/** A transaction with deployment's typed models. */
export type DeploymentTx = PrismaTx<Prisma.TransactionClient>;

/** Opens deployment's database: one pool, which the client and the relay share. */
export function openDeploymentDatabase(
  url: string,
  applicationName: string,
): {
  database: PrismaDatabase<Prisma.TransactionClient>;
  pool: pg.Pool;
} {
  const pool = openPool({ url, applicationName });
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { statementNameGenerator: statementNames() }) });
  return { database: prismaDatabase<Prisma.TransactionClient>(prisma, pool), pool };
}
