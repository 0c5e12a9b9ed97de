import { Client } from 'pg';
import { readFileSync } from 'node:fs';
import { unlessExited, waitForEvents, waitForRelay } from '../../support/chaos-links.ts';
import { terminateWalsender } from '../../support/walsender.ts';
import type { Row } from '../row.ts';

const SENDERS = 3;

export const rows: readonly Row[] = [
  {
    id: 'P14',
    fault: 'wal_level is lowered: the server refuses to start while a logical slot is there',
    must: 'WAIT',
    runs: 2,
    async run(context) {
      const postgres = await context.startPostgres();
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      await waitForEvents(daemon, context.random.int(100, 400));
      const fault = context.fault('restart with wal_level = replica');
      await postgres.stop('fast');
      postgres.configure({ wal_level: 'replica' });
      const hasStarted = await postgres.start().then(
        () => true,
        () => false,
      );
      if (hasStarted) throw new Error('Postgres started without the wal_level that its slot needs');
      if (!/wal_level/.test(readFileSync(postgres.logFile, 'utf8').split('\n').slice(-20).join('\n')))
        throw new Error('Postgres did not refuse for its wal_level');
      const waiting = await daemon.waitForLog('session ended; a new one follows');
      if (waiting.err?.hint === undefined) throw new Error('the relay waits without a hint');
      await unlessExited(daemon, new Promise((resolve) => setTimeout(resolve, 1_000)));
      postgres.configure({ wal_level: 'logical' });
      await postgres.start();
      fault.over();
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
    },
  },
  {
    id: 'P15',
    fault: 'max_wal_senders is exhausted',
    must: 'WAIT',
    runs: 2,
    async run(context) {
      const postgres = await context.startPostgres({ settings: { max_wal_senders: String(SENDERS) } });
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      await waitForEvents(daemon, context.random.int(100, 400));
      const others: Client[] = [];
      context.defer(async () => {
        for (const other of others) await other.end().catch(() => undefined);
      });
      const fault = context.fault('all walsenders are taken');
      await waitForRelay(daemon, 'all walsenders', async () => {
        if (others.length < SENDERS) await terminateWalsender(scene.outbox);
        const other = await connectReplication(scene.outbox.databaseUrl);
        if (other !== null) others.push(other);
        return others.length === SENDERS;
      });
      await waitForRelay(daemon, '53300', () =>
        daemon.log.some(({ err }) => err?.code === 'PG_BUSY' && /53300/.test(err.message ?? '')),
      );
      const hint = daemon.log.findLast(({ err }) => err?.code === 'PG_BUSY')?.err?.hint ?? '';
      if (!hint.includes('max_wal_senders'))
        throw new Error(`the hint does not name max_wal_senders: ${hint}`);
      for (const other of others.splice(0)) await other.end();
      fault.over();
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
    },
  },
];

/** A connection in replication mode is a walsender, whatever it does. Null when there is none left. */
async function connectReplication(url: string): Promise<Client | null> {
  const client = new Client({ connectionString: url, replication: 'database' } as ConstructorParameters<
    typeof Client
  >[0]);
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch {
    return null;
  }
}
