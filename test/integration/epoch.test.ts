import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import {
  acceptEpoch,
  expectNoSecrets,
  expectRelays,
  idsOf,
  refusedCommand,
} from '../support/setup-refusal.ts';

async function dropSlot(outbox: Outbox): Promise<void> {
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
}

async function epoch(outbox: Outbox, ...args: string[]) {
  const result = await runCli(['epoch', ...args], outbox.env);
  expectNoSecrets(result, outbox.env);
  return result;
}

test('epoch show tells what Redis remembers, and that it fits, also while a relay streams', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitUntilConfirmed();
  const shown = await epoch(outbox, 'show');
  expect(shown).toMatchObject({ exitCode: 0, stderr: '' });
  expect(shown.stdout).toMatch(/^epoch +1\nfence +1\nwatermark +\S+.*\nfloor +[0-9A-F]+\/[0-9A-F]+\n/);
  expect(shown.stdout).toContain(`slot       ${outbox.name} of the database ${outbox.name}`);
  expect(shown.stdout).toContain('It fits Postgres.');
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test('epoch accept does nothing when nothing is wrong, not even with --yes', async () => {
  await using outbox = await createOutbox();
  await expectRelays(outbox);
  const before = await outbox.redis.hgetall(outbox.metaKey);
  for (const args of [['accept'], ['accept', '--yes']]) {
    const result = await epoch(outbox, ...args);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(result.stdout).toContain('Nothing is wrong: no new epoch is needed.');
  }
  expect(await outbox.redis.hgetall(outbox.metaKey)).toEqual(before);
});

test('without --yes nothing is changed; with it the epoch rises by one and the fence stays', async () => {
  await using outbox = await createOutbox();
  await expectRelays(outbox);
  await outbox.insert();
  await outbox.query('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [outbox.name]);
  const before = await outbox.redis.hgetall(outbox.metaKey);
  const asked = await epoch(outbox, 'accept');
  expect(asked.exitCode).toBe(67);
  expect(asked.stdout).toContain('A new epoch would mean:');
  expect(asked.stdout).toContain('Nothing was changed. To accept this: walrelay epoch accept --yes');
  expect(await outbox.redis.hgetall(outbox.metaKey)).toEqual(before);

  expect(await acceptEpoch(outbox)).toMatch(/Accepted\.\nepoch +2\n/);
  expect(await outbox.redis.hmget(outbox.metaKey, 'epoch', 'fence', 'watermark')).toEqual([
    '2',
    before['fence'],
    before['watermark'],
  ]);
  expect((await epoch(outbox, 'show')).stdout).toContain('It fits Postgres.');
  await expectRelays(outbox);
});

test('a slot that is gone is made again only by an accepted epoch, which says what may be missing', async () => {
  await using outbox = await createOutbox();
  await expectRelays(outbox);
  await dropSlot(outbox);
  const missed = await outbox.insert();
  const asked = await epoch(outbox, 'accept');
  expect(asked.exitCode).toBe(67);
  expect(asked.stdout).toContain('It does not fit Postgres: SLOT_MISSING');
  expect(asked.stdout).toMatch(/Events committed after [0-9A-F/]+ and before its creation .* may be missing/);
  expect(
    await outbox.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [outbox.name]),
  ).toEqual([]);
  await acceptEpoch(outbox);
  await expectRelays(outbox);
  expect(await idsOf(outbox)).not.toContain(missed);
});

test('two operators who accept at once make one epoch', async () => {
  await using outbox = await createOutbox();
  await expectRelays(outbox);
  await outbox.redis.del(outbox.metaKey);
  const results = await Promise.all([epoch(outbox, 'accept', '--yes'), epoch(outbox, 'accept', '--yes')]);
  expect(results.filter(({ stdout }) => stdout.includes('Accepted.'))).toHaveLength(1);
  const late = results.find(({ stdout }) => !stdout.includes('Accepted.'));
  expect(`${late?.stdout}${late?.stderr}`).toMatch(/Nothing is wrong|EPOCH_CHANGED/);
  expect(await outbox.redis.hget(outbox.metaKey, 'epoch')).toBe('1');
  await expectRelays(outbox);
});

test('an epoch is not accepted over a publication that leaves events out: that is mended first', async () => {
  await using outbox = await createOutbox();
  await outbox.query("ALTER PUBLICATION walrelay SET (publish = 'update')");
  for (const args of [
    ['epoch', 'show'],
    ['epoch', 'accept', '--yes'],
  ]) {
    const refusal = await refusedCommand(args, outbox.env);
    expect(refusal).toMatchObject({ code: 'PUBLICATION_UNSUITABLE', exitCode: 65 });
    expect(refusal.hint).toContain("SET (publish = 'insert')");
  }
  expect(await outbox.redis.hget(outbox.metaKey, 'epoch')).toBe('1');
});

test('a database that was made anew under its name is set up by init, and goes on with an accepted epoch', async () => {
  await using outbox = await createOutbox();
  await expectRelays(outbox);
  await dropSlot(outbox);
  await outbox.query('DROP PUBLICATION walrelay; DROP TABLE outbox');
  const init = await refusedCommand(['init', '--create-table'], outbox.env);
  expect(init).toMatchObject({ code: 'SLOT_MISSING', exitCode: 65 });
  expect(init.hint).toContain('walrelay epoch accept');
  await acceptEpoch(outbox);
  await expectRelays(outbox);
});
