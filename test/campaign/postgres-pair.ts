import { Client } from 'pg';
import type { PostgresServer } from '../../dev/servers/postgres.ts';
import { type PostgresStandby, startPostgresStandby } from '../../dev/servers/postgres-standby.ts';
import { streamingCount, waitForRelay } from '../support/chaos-links.ts';
import type { Daemon } from '../support/cli.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { runSql } from '../support/run-sql.ts';
import { waitFor } from '../support/wait-for.ts';
import type { RowContext } from './row-context.ts';
import type { Scene } from './scene.ts';

/** A primary with a standby, and the one address under which everybody finds whoever is primary. */
export interface PostgresPair {
  readonly primary: PostgresServer;
  readonly standby: PostgresStandby;
  readonly scene: Scene;
  readonly daemon: Daemon;
  /** The address points there from now on; who is connected to the other is cut off. */
  readonly pointTo: (server: PostgresServer) => Promise<void>;
}

export interface PairOptions {
  /** The relay is told of nothing that the standby does not have yet (`synchronized_standby_slots`). */
  readonly isSynchronized: boolean;
  /** False: the relay's slot stays on the primary. */
  readonly hasFailoverSlot?: boolean;
}

/** With a relay that streams, and slots that would survive a promotion. */
export async function openPostgresPair(context: RowContext, options: PairOptions): Promise<PostgresPair> {
  const primary = await context.startPostgres();
  const standby = context.use(await startPostgresStandby(primary));
  if (options.isSynchronized) {
    await runSql(primary.url, `ALTER SYSTEM SET synchronized_standby_slots = '${standby.slot}'`);
    await runSql(primary.url, 'SELECT pg_reload_conf()');
  }
  const { scene, pointTo } = await openMovingScene(context, primary);
  const { name } = scene.outbox;
  const oracle = `${name}_oracle`;
  // The truth has to be told by whoever is primary at the end.
  const slots = options.hasFailoverSlot === false ? [oracle] : [name, oracle];
  for (const slot of [name, oracle]) await setFailover(scene.outbox.databaseUrl, slot, slots.includes(slot));
  const daemon = await scene.startStreaming();
  await waitForRelay(daemon, 'the slots to be synchronised', async () => {
    // Nothing has been committed yet that the oracle would miss.
    await scene.outbox.query('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [oracle]);
    return await standby.hasSynced(slots);
  });
  return { primary, standby, scene, daemon, pointTo };
}

/** A scene on a server that may be replaced by another under the same address and password. */
export async function openMovingScene(
  context: RowContext,
  first: PostgresServer,
): Promise<{ readonly scene: Scene; readonly pointTo: PostgresPair['pointTo'] }> {
  const address = context.use(await FaultProxy.start(first.url));
  const scene = await context.openScene({ postgres: { ...first, url: address.url(first.url) } });
  return {
    scene,
    async pointTo(server) {
      address.redirect(server.url);
      address.resetAll();
      // The pool finds out about its dead connections one by one.
      await waitFor('the address to answer', () => scene.outbox.query('SELECT 1').catch(() => null));
    },
  };
}

/** Waits for a session that streams from where the address points now. */
export async function streamsAgain(daemon: Daemon, before: number): Promise<void> {
  await waitForRelay(daemon, 'another session', () => streamingCount(daemon) > before);
}

/** By the replication protocol: SQL can only create such a slot. */
async function setFailover(url: string, slot: string, hasFailover: boolean): Promise<void> {
  const client = new Client({ connectionString: url, replication: 'database' } as ConstructorParameters<
    typeof Client
  >[0]);
  await client.connect();
  try {
    await waitFor('the slot to be free', () =>
      client.query(`ALTER_REPLICATION_SLOT ${slot} (FAILOVER ${hasFailover})`).then(
        () => true,
        (error: Error & { code?: string }) => {
          if (error.code === '55006') return false;
          throw error;
        },
      ),
    );
  } finally {
    await client.end();
  }
}
