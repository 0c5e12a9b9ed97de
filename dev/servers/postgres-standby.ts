import { randomBytes } from 'node:crypto';
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { openGuardedDir } from './guarded-dir.ts';
import { copyFiles } from './postgres-copy.ts';
import { openPostgres, type PostgresServer } from './postgres-server.ts';
import { serverUser } from './server-user.ts';

/** A streaming standby of a running server, with a physical slot of its own there. */
export interface PostgresStandby extends PostgresServer {
  /** Its slot on the primary; the name for `synchronized_standby_slots`. */
  readonly slot: string;
  /** Resolves when it has replayed what the primary has flushed by now. */
  caughtUp(): Promise<void>;
  /**
   * Whether these logical slots of the primary would survive a promotion (version 17 or later). A slot becomes ready
   * only when the primary's has moved past where the standby could begin to decode.
   */
  hasSynced(slots: readonly string[]): Promise<boolean>;
  /** Becomes a primary, on the next timeline. The old primary is not asked. */
  promote(): Promise<void>;
}

const WAIT_MS = 60_000;

/** Takes a base backup over the low-level API: initdb's siblings, pg_basebackup among them, are not everywhere. */
export async function startPostgresStandby(primary: PostgresServer): Promise<PostgresStandby> {
  const slot = `standby_${randomBytes(4).toString('hex')}`;
  const user = serverUser();
  const dir = openGuardedDir({ prefix: 'walrelay-standby-', user, endSignal: 'QUIT' });
  try {
    const dataDir = join(dir.path, 'data');
    const version = await backUp(primary, slot, dataDir);
    const addOwned = (name: string, text: string): void => {
      const file = join(dataDir, name);
      writeFileSync(file, text, { mode: 0o600 });
      if (user !== undefined) chownSync(file, user.uid, user.gid);
    };
    addOwned('backup_label', version.label);
    addOwned('standby.signal', '');
    const { password, hostname, port } = new URL(primary.url);
    const server = await openPostgres({
      dir,
      user,
      binaries: primary.binaries,
      dataDir,
      password,
      settings: {
        // The database is for the slots' synchronisation, which is a client of it.
        primary_conninfo: `host=${hostname} port=${port} user=postgres password=${password} dbname=postgres`,
        primary_slot_name: slot,
        hot_standby: 'on',
        hot_standby_feedback: 'on',
        wal_receiver_status_interval: '1s',
        wal_retrieve_retry_interval: '100ms',
        ...(version.number >= 170_000
          ? { sync_replication_slots: 'on', synchronized_standby_slots: '' }
          : {}),
      },
    });
    return asStandby(server, primary, slot);
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

interface Backup {
  readonly label: string;
  readonly number: number;
}

/** The slot comes first: it keeps the WAL that the standby needs, so none is copied. */
async function backUp(primary: PostgresServer, slot: string, dataDir: string): Promise<Backup> {
  const client = new Client({ connectionString: primary.url });
  await client.connect();
  try {
    await client.query('SELECT pg_create_physical_replication_slot($1, true)', [slot]);
    // The backup ends with the connection that began it.
    await client.query("SELECT pg_backup_start('walrelay standby', true)");
    copyFiles(primary.dataDir, dataDir, isLeftOut);
    const stopped = await client.query<{ labelfile: string }>(
      'SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)',
    );
    const { rows } = await client.query<{ number: number }>(
      "SELECT current_setting('server_version_num')::int AS number",
    );
    return { label: stopped.rows[0]?.labelfile ?? '', number: rows[0]?.number ?? 0 };
  } finally {
    await client.end();
  }
}

/** https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP-DATA */
function isLeftOut(path: string): boolean {
  return (
    ['postmaster.pid', 'postmaster.opts'].includes(path) ||
    (/^(pg_wal|pg_replslot|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp|pg_subtrans)\/[^/]+$/.test(
      path,
    ) &&
      path !== 'pg_wal/archive_status') ||
    /(^|\/)(pgsql_tmp|pg_internal\.init)/.test(path)
  );
}

function asStandby(server: PostgresServer, primary: PostgresServer, slot: string): PostgresStandby {
  const ask = async (url: string, sql: string, values: unknown[] = []): Promise<unknown> => {
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return Object.values((await client.query(sql, values)).rows[0] ?? {})[0];
    } finally {
      await client.end();
    }
  };
  const until = async (what: string, probe: () => Promise<unknown>): Promise<void> => {
    const deadlineMs = performance.now() + WAIT_MS;
    while ((await probe()) !== true) {
      if (performance.now() > deadlineMs) throw new Error(`the standby is not ${what} after ${WAIT_MS} ms`);
      await sleep(50);
    }
  };
  return Object.defineProperties(
    {
      slot,
      async caughtUp() {
        const lsn = await ask(primary.url, 'SELECT pg_current_wal_flush_lsn()::text');
        await until('caught up', () =>
          ask(server.url, 'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn', [lsn]),
        );
      },
      async hasSynced(slots: readonly string[]) {
        // A slot of the primary moves on with the next record of running transactions.
        await ask(primary.url, 'SELECT pg_log_standby_snapshot()');
        const sql = `SELECT count(*) = cardinality($1::text[]) FROM pg_replication_slots
          WHERE slot_name = ANY ($1) AND synced AND NOT temporary AND invalidation_reason IS NULL`;
        return (await ask(server.url, sql, [slots])) === true;
      },
      async promote() {
        await ask(server.url, 'SELECT pg_promote(true, 60)');
      },
    },
    Object.getOwnPropertyDescriptors(server),
  ) as PostgresStandby;
}
