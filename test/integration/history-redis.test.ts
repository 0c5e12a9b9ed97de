import { expect, test } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import { runCli } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import {
  acceptEpoch,
  expectRelays,
  idsOf,
  refusalOf,
  refusedCommand,
  refusedRun,
} from '../support/setup-refusal.ts';

/** Relays one event to its confirmation, and stops. */
async function relayOne(outbox: Outbox): Promise<string> {
  const daemon = outbox.start();
  await daemon.streaming();
  const id = await outbox.insert();
  await outbox.waitUntilConfirmed();
  await daemon.stop();
  return id;
}

test('a Redis that was emptied is refused; a new epoch says what is gone and goes on', async () => {
  await using outbox = await createOutbox();
  const gone = await relayOne(outbox);
  await outbox.redis.del(outbox.metaKey, outbox.stream());
  const waiting = await outbox.insert();
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'LANE_MISSING', exitCode: 67 });
  expect(refusal.message).toContain(await outbox.confirmedLsn());
  expect(refusal.hint).toContain('walrelay epoch accept');
  const accepted = await acceptEpoch(outbox);
  expect(accepted).toContain(`(before ${await outbox.confirmedLsn()}) stay missing`);
  await expectRelays(outbox);
  const ids = await idsOf(outbox);
  expect({ gone: ids.includes(gone), waiting: ids.includes(waiting) }).toEqual({
    gone: false,
    waiting: true,
  });
});

test('a lane state that goes while the relay streams stops it; nothing is confirmed past that', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.waitUntilConfirmed();
  await outbox.redis.del(outbox.metaKey);
  const [row] = await outbox.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  await outbox.insert();
  const refusal = refusalOf(await daemon.exited, outbox.env);
  expect(refusal).toMatchObject({ code: 'LANE_MISSING', exitCode: 67 });
  expect(refusal.hint).toContain('walrelay epoch accept');
  expect(await outbox.redis.exists(outbox.stream())).toBe(0);
  expect(parseLsn(await outbox.confirmedLsn())).toBeLessThanOrEqual(parseLsn(row?.lsn ?? ''));
  await acceptEpoch(outbox);
  await expectRelays(outbox);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
});

test('a Redis restored from an older copy is refused; what was confirmed in between is named as missing', async () => {
  await using outbox = await createOutbox();
  await relayOne(outbox);
  const older = await outbox.redis.hgetall(outbox.metaKey);
  await relayOne(outbox);
  await outbox.redis.hset(outbox.metaKey, older);
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'REDIS_BEHIND', exitCode: 67 });
  expect(refusal.message).toContain(`confirmed up to ${await outbox.confirmedLsn()}`);

  const shown = await runCli(['epoch', 'show'], outbox.env);
  expect(shown.stdout).toContain('It does not fit Postgres: REDIS_BEHIND');
  expect(shown.stdout).toMatch(
    /Events committed between [0-9A-F/]+ and [0-9A-F/]+ were confirmed to Postgres/,
  );
  await acceptEpoch(outbox);
  await expectRelays(outbox);
});

test('a slot advanced by hand is refused: what it skipped is named, and nothing comes twice', async () => {
  await using outbox = await createOutbox();
  const relayed = await relayOne(outbox);
  const skipped = await outbox.insert();
  await outbox.query('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [outbox.name]);
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'REDIS_BEHIND', exitCode: 67 });
  expect(refusal.message).toContain('the slot was advanced or re-created by hand');
  expect(await acceptEpoch(outbox)).toContain('they may be missing');
  await expectRelays(outbox);
  const ids = await idsOf(outbox);
  expect(ids.filter((id) => id === relayed)).toHaveLength(1);
  expect(ids).not.toContain(skipped);
});

test('a slot dropped and made again is refused: what lay between is named', async () => {
  await using outbox = await createOutbox();
  await relayOne(outbox);
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
  await outbox.insert();
  await outbox.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [outbox.name]);
  expect(await refusedRun(outbox)).toMatchObject({ code: 'REDIS_BEHIND', exitCode: 67 });
  await acceptEpoch(outbox);
  await expectRelays(outbox);
});

test('a lane state of another relay is refused; accepting it would take it from that relay, and says so', async () => {
  await using mine = await createOutbox();
  await using other = await createOutbox();
  const env = { WALRELAY_META_KEY: other.metaKey };
  const refusal = await refusedRun(mine, env);
  expect(refusal).toMatchObject({ code: 'LANE_FOREIGN', exitCode: 67 });
  expect(refusal.message).toContain(`belongs to the slot ${other.name} of the database ${other.name}`);
  expect(refusal.hint).toContain('WALRELAY_META_KEY');
  const refused = await runCli(['epoch', 'accept'], { ...mine.env, ...env });
  expect(refused.exitCode).toBe(67);
  expect(refused.stdout).toContain(`is taken from the slot ${other.name}`);
  expect(refused.stdout).toContain('a relay that still runs there stops');
  await expectRelays(other);
});

test('a relay whose lane state is accepted anew while it streams stops, and appends nothing more', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.redis.hincrby(outbox.metaKey, 'epoch', 1);
  await outbox.insert();
  const result = await daemon.exited;
  expect(result.exitCode).toBe(67);
  expect(result.stderr).toContain('EPOCH_CHANGED');
  expect(await outbox.redis.exists(outbox.stream())).toBe(0);
  await expectRelays(outbox);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
});

test('a lane state of a newer Walrelay is refused by every command and left alone', async () => {
  await using outbox = await createOutbox();
  await outbox.redis.hset(outbox.metaKey, { v: '99', novelty: 'yes' });
  const before = await outbox.redis.hgetall(outbox.metaKey);
  expect(await refusedRun(outbox)).toMatchObject({ code: 'LANE_VERSION', exitCode: 67 });
  for (const command of [['init'], ['epoch', 'show'], ['epoch', 'accept', '--yes']]) {
    const refusal = await refusedCommand(command, outbox.env);
    expect(refusal).toMatchObject({ code: 'LANE_VERSION', exitCode: 67 });
    expect(refusal.message).toContain('has version "99"; this Walrelay knows version 1');
    expect(refusal.hint).toContain('newer Walrelay');
  }
  expect(await outbox.redis.hgetall(outbox.metaKey)).toEqual(before);
});

for (const [field, value] of Object.entries({
  watermark: 'null',
  floor: null,
  epoch: '-1',
  timeline: 'one',
  system_id: null,
})) {
  test(`a lane state with a ${value === null ? 'missing' : 'damaged'} ${field} is refused, field by name`, async () => {
    await using outbox = await createOutbox();
    if (value === null) await outbox.redis.hdel(outbox.metaKey, field);
    else await outbox.redis.hset(outbox.metaKey, field, value);
    const refusal = await refusedRun(outbox);
    expect(refusal).toMatchObject({ code: 'REDIS_BEHIND', exitCode: 67 });
    expect(refusal.message).toContain(outbox.metaKey);
  });
}

test('a damaged lane state is never written over; once it was moved away a new epoch begins', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await relayOne(outbox);
  await outbox.redis.hset(outbox.metaKey, 'watermark', '0');
  const refusal = await refusedCommand(['epoch', 'accept', '--yes'], outbox.env);
  expect(refusal).toMatchObject({ code: 'REDIS_BEHIND', exitCode: 67 });
  expect(refusal.hint).toContain(`DEL ${outbox.metaKey}`);
  expect(await outbox.redis.hget(outbox.metaKey, 'watermark')).toBe('0');
  await outbox.redis.del(outbox.metaKey);
  await acceptEpoch(outbox);
  await expectRelays(outbox);
  await expectExact(outbox, oracle);
});
