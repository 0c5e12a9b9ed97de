import { expect, inject, test } from 'vitest';
import { expectExact, Oracle } from '../support/exactness.ts';
import { Outbox } from '../support/outbox.ts';

const servers = () => ({ databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl') });

test('a committed insert becomes an entry with every field, byte for byte', async () => {
  await using outbox = await Outbox.create(servers());
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  const id = await outbox.insert({ payload: '{"b": 12345678901234567890.10, "a": "é\\u0001"}' });
  await outbox.waitForLength(outbox.stream(), 1);
  const [[, fields] = ['', []]] = await outbox.redis.xrange(outbox.stream(), '-', '+');
  expect(fields.filter((_, index) => index % 2 === 0)).toEqual([
    'id',
    'type',
    'aggregate_type',
    'aggregate_id',
    'payload',
    'lsn',
    'seq',
    'committed_at',
  ]);
  expect(fields[1]).toBe(id);
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(1);
  const result = await daemon.stop();
  expect(result.exitCode).toBe(0);
});
