import { unlessExited } from '../../support/chaos-links.ts';
import { inDatabase, runSql } from '../../support/run-sql.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';

const MiB = 1024 * 1024;

export const rows: readonly Row[] = [
  {
    id: 'P26',
    fault: 'the outbox is idle while other tables and another database write',
    must: 'OK',
    runs: 2,
    async run(context) {
      const postgres = await context.startPostgres({ settings: { max_wal_size: '64MB' } });
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      await scene.deliverCanary();
      await runSql(postgres.url, 'CREATE DATABASE busy');
      const places = [scene.outbox.databaseUrl, inDatabase(postgres.url, 'busy')];
      for (const url of places) await runSql(url, 'CREATE TABLE other (n int, filler text)');
      const fault = context.fault('others write, the outbox is idle');
      for (let round = 0; round < 6; round += 1) {
        const url = places[round % places.length] ?? '';
        await runSql(url, "INSERT INTO other SELECT n, repeat('x', 400) FROM generate_series(1, 30000) n");
        await unlessExited(daemon, scene.outbox.waitUntilConfirmed(30_000));
      }
      context.recovered(fault);
      // The slot's restart position follows with the records of running transactions, which checkpoints write.
      const retained = await waitFor('the WAL to be released', async () => {
        await scene.outbox.query('CHECKPOINT');
        const [slot] = await scene.outbox.query<{ bytes: string; written: string }>(
          `SELECT pg_current_wal_lsn() - restart_lsn AS bytes, pg_current_wal_lsn() - '0/0' AS written
           FROM pg_replication_slots WHERE slot_name = $1`,
          [scene.outbox.name],
        );
        return Number(slot?.bytes) < 16 * MiB && slot;
      });
      context.note(`${retained.bytes} bytes of WAL kept, of ${retained.written} written`);
      await scene.settle(daemon);
    },
  },
];
