import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { startPostgres } from '../../dev/servers/postgres.ts';
import { startPostgresCopy } from '../../dev/servers/postgres-copy.ts';
import { POSTGRES_FLAVOURS, postgresFlavour } from '../../dev/servers/postgres-flavour.ts';
import { startPostgresStandby } from '../../dev/servers/postgres-standby.ts';
import { mountSmallFileSystem, whyNoSmallFileSystem } from '../../dev/servers/small-file-system.ts';
import { runSql } from '../support/run-sql.ts';
import { waitFor } from '../support/wait-for.ts';

test.for(POSTGRES_FLAVOURS)(
  'PostgreSQL %i can be had, and makes a pgoutput slot',
  async (version, { skip }) => {
    const found = await postgresFlavour(version);
    // All but 14 are development dependencies; that one may be out of reach.
    if ('missing' in found && version === 14) return skip(found.missing);
    if ('missing' in found) throw new Error(found.missing);
    await using server = await startPostgres(found.options);
    const [row] = await runSql<{ version: number; slot: string }>(
      server.url,
      `SELECT current_setting('server_version_num')::int / 10000 AS version, slot_name AS slot
     FROM pg_create_logical_replication_slot('rig', 'pgoutput')`,
    );
    expect(row).toEqual({ version, slot: 'rig' });
  },
);

const IDENTITY =
  'SELECT system_identifier::text AS id, timeline_id AS timeline FROM pg_control_system(), pg_control_checkpoint()';

test('a standby follows its primary, has its failover slot, and becomes a primary on the next timeline', async ({
  skip,
}) => {
  await using primary = await startPostgres();
  const [server] = await runSql<{ number: number }>(
    primary.url,
    "SELECT current_setting('server_version_num')::int AS number",
  );
  if ((server?.number ?? 0) < 170_000) return skip('failover slots come with version 17');
  await using standby = await startPostgresStandby(primary);
  await runSql(
    primary.url,
    "SELECT pg_create_logical_replication_slot('kept', 'pgoutput', false, false, true)",
  );
  await runSql(primary.url, "SELECT pg_create_logical_replication_slot('left', 'pgoutput')");
  await waitFor('the slot on the standby', () => standby.hasSynced(['kept']));
  await runSql(primary.url, 'CREATE TABLE written (n int)');
  await standby.caughtUp();
  await primary.kill();
  await standby.promote();
  await runSql(standby.url, 'INSERT INTO written VALUES (1)');
  await runSql(standby.url, 'CHECKPOINT');
  expect(await runSql(standby.url, 'SELECT slot_name FROM pg_replication_slots')).toEqual([
    { slot_name: 'kept' },
  ]);
  expect(await runSql(standby.url, IDENTITY)).toMatchObject([{ timeline: 2 }]);
});

test('a copy of a stopped server is the same cluster, and both run side by side', async () => {
  await using original = await startPostgres();
  await expect(startPostgresCopy(original)).rejects.toThrow('only the files of a stopped server are whole');
  await original.stop();
  await using copy = await startPostgresCopy(original);
  await original.start();
  expect(await runSql(copy.url, IDENTITY)).toEqual(await runSql(original.url, IDENTITY));
});

test('a small file system takes no byte more when it is full, has room again, and is gone in the end', async ({
  skip,
}) => {
  const why = whyNoSmallFileSystem();
  if (why !== null) return skip(why);
  const disk = mountSmallFileSystem({ bytes: 1024 * 1024, user: undefined });
  const file = join(disk.path, 'file');
  disk.fill();
  expect(() => writeFileSync(file, 'x'.repeat(10_000))).toThrow('ENOSPC');
  disk.makeRoom();
  writeFileSync(file, 'x'.repeat(10_000));
  await disk[Symbol.asyncDispose]();
  expect(existsSync(dirname(disk.path))).toBe(false);
});
