import { rmSync } from 'node:fs';
import { copyFiles } from '../../../dev/servers/postgres-copy.ts';
import type { PostgresServer } from '../../../dev/servers/postgres.ts';
import { findPostgresBinaries } from '../../../dev/servers/postgres-binaries.ts';
import { serverUser } from '../../../dev/servers/server-user.ts';
import { waitForEvents } from '../../support/chaos-links.ts';
import { runCli } from '../../support/cli.ts';
import { inDatabase, runSql } from '../../support/run-sql.ts';
import { OnceCheck } from '../once-check.ts';
import { openMovingScene } from '../postgres-pair.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';
import type { Scene } from '../scene.ts';

export const rows: readonly Row[] = [
  {
    id: 'P30',
    fault: 'Postgres is restored from an older copy of its files',
    must: 'HALT',
    runs: 2,
    run: restoreFiles,
  },
  {
    id: 'P31',
    fault: 'dump and restore into a new cluster under the old address; then `epoch accept`',
    must: ['HALT', 'OK'],
    runs: 2,
    async run(context) {
      await moveToNewCluster(context, await context.startPostgres(), {
        isBeyond: context.random.next() < 0.5,
      });
    },
  },
  {
    id: 'P32',
    fault:
      'an upgrade from 17 to 18 as pg_upgrade leaves it: another cluster, LSNs go on; then `epoch accept`',
    must: ['HALT', 'OK'],
    runs: 2,
    // pg_upgrade itself is in no package that npm has: the row makes what it makes.
    impossible: () => {
      const missing = ([17, 18] as const).filter(
        (major) => findPostgresBinaries(serverUser(), major) === undefined,
      );
      return missing.length === 0 ? null : `needs PostgreSQL ${missing.join(' and ')}, which is not here`;
    },
    async run(context) {
      const old = await context.startPostgres({ majorVersion: 17 });
      await moveToNewCluster(context, old, { isBeyond: true, majorVersion: 18 });
    },
  },
];

async function restoreFiles(context: RowContext): Promise<void> {
  const postgres = await context.startPostgres();
  const scene = await context.openScene({ postgres });
  const daemon = await scene.startStreaming();
  scene.startWorkload();
  await waitForEvents(daemon, context.random.int(100, 300));
  await scene.stopWorkloads();
  await postgres.stop();
  const copy = `${postgres.dataDir}.copy`;
  copyFiles(postgres.dataDir, copy);
  await postgres.start();
  scene.startWorkload();
  await waitForEvents(daemon, 800);
  const once = await OnceCheck.begin(scene, context.tally);
  const entriesBefore = await countEntries(scene);

  context.fault('the files are those of an older copy');
  await postgres.stop('immediate');
  rmSync(postgres.dataDir, { recursive: true });
  copyFiles(copy, postgres.dataDir);
  await postgres.start();
  const notPast = await scene.confirmed();
  await scene.outbox.insert({ aggregateType: 'after' });
  await scene.expectHalt(daemon, ['POSTGRES_BEHIND'], { notPast, entries: 'any' });
  await once.end();
  const entriesAfter = await countEntries(scene);
  if (entriesAfter !== entriesBefore)
    throw new Error(`${entriesAfter - entriesBefore} entries after the halt`);
}

interface Move {
  /** The new cluster's positions lie beyond the old one's. */
  readonly isBeyond: boolean;
  readonly majorVersion?: 18;
}

async function moveToNewCluster(context: RowContext, old: PostgresServer, move: Move): Promise<void> {
  const { scene, pointTo } = await openMovingScene(context, old);
  const { name } = scene.outbox;
  const daemon = await scene.startStreaming();
  scene.startWorkload();
  await waitForEvents(daemon, context.random.int(200, 600));
  const once = await OnceCheck.begin(scene, context.tally);

  context.note('dump and restore');
  const { majorVersion } = move;
  const fresh = await context.startPostgres(majorVersion === undefined ? {} : { majorVersion });
  const oldPassword = new URL(old.url).password;
  await runSql(fresh.url, `ALTER ROLE postgres PASSWORD '${oldPassword}'`);
  const restored = { ...fresh, url: withPassword(fresh.url, oldPassword) };
  await restore(scene, inDatabase(old.url, name), restored.url, move);
  const fault = context.fault(`the address points to ${fresh.description}`);
  await old.stop('immediate');
  await pointTo(restored);
  await scene.expectHalt(daemon, ['SYSTEM_CHANGED'], { notPast: await scene.confirmed(), entries: 'any' });

  const accepted = await runCli(['epoch', 'accept', '--yes'], scene.outbox.env);
  if (accepted.exitCode !== 0) throw new Error(`epoch accept: ${accepted.stderr}`);
  fault.over();
  const again = await scene.startStreaming();
  await scene.recover(again, fault);
  scene.startWorkload({ bigEvery: 0 });
  await waitForEvents(again, 300);
  await scene.stopWorkloads();
  await scene.outbox.waitUntilConfirmed(120_000);
  const committed = await scene.outbox.query<{ id: string }>(
    "SELECT id FROM outbox WHERE aggregatetype = 'canary'",
  );
  await once.end(committed.map(({ id }) => id));
  const result = await again.stop();
  if (result.exitCode !== 0) throw new Error(`the relay exited with ${result.exitCode}`);
}

/** Database, table, rows, publication and slot, as a careful operator moves them. */
async function restore(scene: Scene, from: string, to: string, { isBeyond }: Move): Promise<void> {
  const { name } = scene.outbox;
  await runSql(to, `CREATE DATABASE ${name}`);
  const target = inDatabase(to, name);
  await runSql(
    target,
    `CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text NOT NULL,
       aggregateid text NOT NULL, type text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  );
  // The payload as text: a JSON null would come back as none.
  const [dump] = await runSql<{ rows: string }>(
    from,
    `SELECT coalesce(json_agg(o), '[]')::text AS rows
     FROM (SELECT id, aggregatetype, aggregateid, type, payload::text, created_at FROM outbox) o`,
  );
  await runSql(
    target,
    `INSERT INTO outbox SELECT id, aggregatetype, aggregateid, type, payload::jsonb, created_at
     FROM json_to_recordset($1) AS o
       (id uuid, aggregatetype text, aggregateid text, type text, payload text, created_at timestamptz)`,
    [dump?.rows],
  );
  await runSql(
    target,
    "CREATE PUBLICATION walrelay FOR TABLE outbox WITH (publish = 'insert', publish_via_partition_root = true)",
  );
  const [end] = await runSql<{ lsn: string }>(from, 'SELECT pg_current_wal_lsn()::text AS lsn');
  for (let isThere = !isBeyond; !isThere; ) {
    await runSql(target, "SELECT pg_logical_emit_message(false, 'walrelay chaos', 'x')");
    await runSql(target, 'SELECT pg_switch_wal()');
    const [wal] = await runSql<{ isThere: boolean }>(
      target,
      'SELECT pg_current_wal_lsn() > $1::pg_lsn AS "isThere"',
      [end?.lsn],
    );
    isThere = wal?.isThere === true;
  }
  await runSql(target, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
}

function withPassword(url: string, password: string): string {
  const changed = new URL(url);
  changed.password = password;
  return changed.href;
}

async function countEntries(scene: Scene): Promise<number> {
  const streams = await scene.outbox.redis.keys(`${scene.outbox.name}.*`);
  const lengths = await Promise.all(streams.map((stream) => scene.outbox.redis.xlen(stream)));
  return lengths.reduce((sum, length) => sum + length, 0);
}
