import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RedisCluster, startCluster } from '../../dev/servers/redis-cluster.ts';
import { createClusterOutbox } from '../support/cluster-outbox.ts';
import type { Outbox } from '../support/outbox.ts';
import { dropSlot, recovered, relayAll } from '../support/recovered.ts';
import { refusedCommand, refusedRun } from '../support/setup-refusal.ts';

let redis: RedisCluster;
beforeAll(async () => {
  redis = await startCluster();
});
afterAll(async () => {
  await redis?.dispose();
});

async function eventsOf({ redis: client }: Outbox, name: string): Promise<Map<string, string[]>> {
  const events = new Map<string, string[]>();
  for (const key of await client.keys(`${name}.*`)) {
    const entries = await client.xrange(key, '-', '+');
    events.set(
      key,
      entries.map(([, fields]) => `${fields[9]}${fields[10] === 'recovered_at' ? ' recovered' : ''}`),
    );
  }
  return events;
}

test('on a cluster each lane is recovered, new ones too; a recovery that is interrupted is finished by the next one', async () => {
  const prefix = `rc${Date.now()}`;
  await using outbox = await createClusterOutbox(redis, {
    WALRELAY_STREAM: `${prefix}.{\${aggregateid}}`,
  });
  const insert = async (ids: readonly string[], payload: number) => {
    for (const aggregateId of ids) await outbox.insert({ aggregateId, payload: String(payload) });
  };
  const tags = Array.from({ length: 12 }, (_, n) => `t${n}`);
  await insert(tags.slice(0, 8), 1);
  await relayAll(outbox);
  await dropSlot(outbox);
  await insert(tags, 2);
  await outbox.insert({ aggregateId: 'no name', payload: '0' });
  await insert(tags, 3);

  expect(await refusedCommand(['recover', '--yes'], outbox.env)).toMatchObject({
    code: 'EVENT_STREAM_NAME',
    exitCode: 68,
  });
  expect(await refusedRun(outbox)).toMatchObject({ code: 'RECOVERY_UNFINISHED', exitCode: 67 });
  await outbox.query("DELETE FROM outbox WHERE aggregateid = 'no name'");
  expect(await recovered(outbox)).toMatchObject({ published: 12, doubtful: 0 });
  await insert(tags, 4);
  await relayAll(outbox);

  const events = await eventsOf(outbox, prefix);
  const expected = tags.map((tag, n) => [
    `${prefix}.{${tag}}`,
    [...(n < 8 ? ['1'] : []), '2 recovered', '3 recovered', '4'],
  ]);
  expect(Object.fromEntries(events)).toEqual(Object.fromEntries(expected));
});
