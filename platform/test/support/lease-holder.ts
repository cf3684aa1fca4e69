import { createLeases } from '@coursewright/platform/leases';
import { createLogger } from '@coursewright/platform/logger';
import pg from 'pg';

/** What such a process is told when it is started. */
export interface HolderTold {
  readonly url: string;
  readonly replica: string;
  readonly names: readonly string[];
}

// A replica whose work under a lease is to write its name down, every few milliseconds, for as long as it holds it.
const told = JSON.parse(process.argv[2] ?? '') as HolderTold;
const pool = new pg.Pool({ connectionString: told.url, max: 4 });
const leases = createLeases({ pool, replica: told.replica, logger: createLogger(told.replica, 'silent') });
leases.share(told.names, async (lease) => {
  while (lease.isHeld()) {
    await pool.query('INSERT INTO step (lease, replica, token) VALUES ($1, $2, $3)', [
      lease.name,
      told.replica,
      lease.token,
    ]);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
process.on('SIGTERM', () => void leases.stop?.().then(() => process.exit(0)));
await leases.start?.();
process.send?.('ready');
