import { expect } from 'vitest';
import {
  allowReplication,
  cutReplication,
  startReplica,
  untilLinked,
} from '../../../dev/servers/redis-replica.ts';
import { readMetric, settle, waitForRelay } from '../../support/chaos-links.ts';
import { Oracle } from '../../support/exactness.ts';
import { refusedRun } from '../../support/setup-refusal.ts';
import type { Check } from '../check.ts';
import { openOutbox } from '../open-outbox.ts';
import type { Pair } from '../server-versions.ts';

/** WAITAOF came with Redis 7.2, from which Valkey was forked. */
function hasWaitAof({ redis }: Pair): boolean {
  return redis !== 'redis-6.2' && redis !== 'redis-7.0';
}

export const replicas: Check = {
  id: 'replicas',
  what: 'durability replicas:1: with the replica cut off events flow and nothing is confirmed; with it all of it is',
  async run(context, servers) {
    const { redis, redisBinary } = servers;
    const replica = context.use(await startReplica(redis, { binary: redisBinary }));
    const outbox = await openOutbox(context, servers, { env: { WALRELAY_DURABILITY: 'replicas:1' } });
    const oracle = await Oracle.create(outbox);
    const daemon = outbox.start();
    await daemon.streaming();
    await outbox.insert();
    await outbox.waitUntilConfirmed();
    await cutReplication(redis, replica);
    const confirmed = await outbox.confirmedLsn();
    for (let count = 0; count < 5; count += 1) await outbox.insert();
    await outbox.waitForLength(outbox.stream(), 6);
    await waitForRelay(
      daemon,
      'two short waits',
      async () => (await readMetric(daemon, 'walrelay_short_waits_total')) >= 2,
    );
    expect(await outbox.confirmedLsn()).toBe(confirmed);
    await allowReplication(replica);
    await untilLinked(replica);
    expect(await settle({ outbox, oracle, daemon })).toBe(6);
  },
};

export const fsync: Check = {
  id: 'fsync',
  what: 'durability fsync confirms what is on the disk',
  notOffered: (pair) => (hasWaitAof(pair) ? null : 'Redis has WAITAOF since 7.2'),
  async run(context, servers) {
    const outbox = await openOutbox(context, servers, { env: { WALRELAY_DURABILITY: 'fsync' } });
    const oracle = await Oracle.create(outbox);
    const daemon = outbox.start();
    await daemon.streaming();
    for (let count = 0; count < 20; count += 1) await outbox.insert();
    await outbox.waitUntilConfirmed();
    await servers.redis.kill();
    await servers.redis.start();
    await outbox.insert();
    expect(await settle({ outbox, oracle, daemon })).toBe(21);
  },
};

export const fsyncRefused: Check = {
  id: 'no-fsync',
  what: 'durability fsync is refused by name where the server can’t promise it',
  notOffered: (pair) => (hasWaitAof(pair) ? 'this server can promise it' : null),
  async run(context, servers) {
    const outbox = await openOutbox(context, servers, { env: { WALRELAY_DURABILITY: 'fsync' } });
    expect(await refusedRun(outbox)).toMatchObject({ code: 'REDIS_DURABILITY', exitCode: 66 });
  },
};
