import { readMetric, waitForEvents, waitForRelay, waitForSessions } from '../../support/chaos-links.ts';
import { Client } from 'pg';
import type { Row } from '../row.ts';

const INSERT = `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
  SELECT 'order', n::text, 'created', '{}' FROM generate_series(1, 20) n`;

export const rows: readonly Row[] = [
  {
    id: 'P1',
    fault: 'Postgres kill -9 and restart, under load',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const postgres = await context.startPostgres();
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      for (let life = 1; life <= (context.kills ?? 3); life += 1) {
        await waitForEvents(daemon, life * 200);
        await new Promise((resolve) => setTimeout(resolve, context.random.int(0, 300)));
        const fault = context.fault('kill -9 of Postgres', { isKill: true });
        await postgres.kill();
        await postgres.start();
        fault.over();
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
  {
    id: 'P2',
    fault: 'Postgres kill -9 with a long write transaction open: confirmed events come again',
    must: 'OK',
    runs: 2,
    async run(context) {
      const postgres = await context.startPostgres();
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      const long = new Client({ connectionString: scene.outbox.databaseUrl });
      long.on('error', () => undefined);
      await long.connect();
      context.defer(async () => await long.end().catch(() => undefined));
      // With an XID of its own it holds back the slot's restart and candidate positions.
      await long.query('BEGIN');
      await long.query(INSERT);
      const transactions = context.random.int(400, 600);
      for (let count = 0; count < transactions; count += 1) await scene.outbox.query(INSERT);
      await scene.outbox.waitUntilConfirmed(120_000);
      await scene.outbox.query('CHECKPOINT');
      const resentBefore = await readMetric(daemon, 'walrelay_resent_events_total');

      const fault = context.fault('kill -9 of Postgres', { isKill: true });
      await postgres.kill();
      await postgres.start();
      fault.over();
      await waitForSessions(daemon, 2);
      await scene.recover(daemon, fault);
      const resent = await waitForRelay(daemon, 'confirmed events to be sent again', async () => {
        return (await readMetric(daemon, 'walrelay_resent_events_total')) - resentBefore;
      });
      context.note(`${resent} of ${transactions * 20} confirmed events were sent again`);
      await scene.settle(daemon);
    },
  },
];
