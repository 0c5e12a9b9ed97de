import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startReplica } from '../../dev/servers/redis-replica.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import type { Env } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { RelayInProcess } from '../support/relay-in-process.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/** Quick to come back. */
const QUICK: Env = {
  WALRELAY_BACKOFF_MIN_MS: '10',
  WALRELAY_BACKOFF_MAX_MS: '100',
  WALRELAY_STANDBY_POLL_MS: '20',
};

/**
 * An answer of a real Redis that passes: the relay waits for its end, and nothing is confirmed meanwhile. Returns how
 * many events stand in the stream then.
 */
async function outlast(
  redis: RedisServer,
  options: {
    readonly word: string;
    readonly code: string;
    readonly env?: Env;
    readonly provoke: (admin: Redis, outbox: Outbox) => Promise<unknown>;
    readonly mend: (admin: Redis) => Promise<unknown>;
  },
): Promise<number> {
  await using outbox = await createOutbox({ redisUrl: redis.url });
  const oracle = await Oracle.create(outbox);
  const admin = new Redis(redis.url);
  await using relay = RelayInProcess.start({ ...outbox.env, ...QUICK, ...options.env });
  await relay.line(({ msg }) => msg === 'streaming');
  await options.provoke(admin, outbox);
  const id = await outbox.insert();
  const [row] = await outbox.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  const line = await relay.line(({ err }) => err?.message?.includes(options.word) === true);
  expect(line?.err).toMatchObject({ code: options.code, disposition: 'retry' });
  const [slot] = await outbox.query<{ isConfirmed: boolean }>(
    'SELECT confirmed_flush_lsn >= $2::pg_lsn AS "isConfirmed" FROM pg_replication_slots WHERE slot_name = $1',
    [outbox.name, row?.lsn],
  );
  expect(slot).toEqual({ isConfirmed: false });
  await options.mend(admin);
  await outbox.waitUntilConfirmed(30_000);
  const events = await expectExact(outbox, oracle);
  const [entry] = await outbox.redis.xrange(outbox.stream(), '-', '+');
  expect(entry?.[1].slice(0, 2)).toEqual(['id', id]);
  expect(await relay.stop()).toBeNull();
  admin.disconnect();
  return events;
}

test('LOADING: the relay waits until the data set is loaded', async () => {
  await using redis = await startRedis();
  const events = await outlast(redis, {
    word: 'LOADING',
    code: 'REDIS_NOT_READY',
    provoke: async (admin) => {
      // Slow enough to be seen, and looking at its clients between any two keys.
      await admin.config('SET', 'loading-process-events-interval-bytes', '1024');
      await admin.config('SET', 'key-load-delay', '20000');
      const keys = Array.from({ length: 100 }, (_, key) => [`filler.${key}`, 'x'.repeat(2048)]).flat();
      await admin.mset(...keys);
      const other = new Redis(redis.url);
      void other.call('DEBUG', 'RELOAD').finally(() => other.disconnect());
      await waitFor('the loading to begin', async () => {
        return await admin.get('x').then(
          () => false,
          (error: unknown) => String(error).includes('LOADING'),
        );
      });
    },
    mend: async (admin) => {
      await waitFor('the loading to end', async () => {
        return await admin.get('x').then(
          () => true,
          () => false,
        );
      });
    },
  });
  expect(events).toBe(1);
});

test('NOREPLICAS: the relay waits until there are replicas enough', async () => {
  await using redis = await startRedis();
  const events = await outlast(redis, {
    word: 'NOREPLICAS',
    code: 'REDIS_NOT_READY',
    provoke: (admin) => admin.config('SET', 'min-replicas-to-write', '1'),
    mend: (admin) => admin.config('SET', 'min-replicas-to-write', '0'),
  });
  expect(events).toBe(1);
});

test('MISCONF: the relay waits until a snapshot can be saved again', async () => {
  await using redis = await startRedis();
  const inTheWay = join(redis.dir, 'dump.rdb');
  const events = await outlast(redis, {
    word: 'MISCONF',
    code: 'REDIS_NOT_READY',
    provoke: async (admin) => {
      await admin.config('SET', 'save', '3600 1000000');
      mkdirSync(inTheWay);
      await admin.bgsave();
      await waitFor('the save to fail', async () =>
        (await admin.info('persistence')).includes('rdb_last_bgsave_status:err'),
      );
    },
    mend: async (admin) => {
      rmdirSync(inTheWay);
      await admin.bgsave();
    },
  });
  expect(events).toBe(1);
});

test('MASTERDOWN: the relay waits for a replica that has lost its primary to become one', async () => {
  await using redis = await startRedis();
  const events = await outlast(redis, {
    word: 'MASTERDOWN',
    code: 'REDIS_NOT_READY',
    provoke: async (admin) => {
      await admin.config('SET', 'replica-serve-stale-data', 'no');
      await admin.replicaof('127.0.0.1', 1);
    },
    mend: (admin) => admin.replicaof('NO', 'ONE'),
  });
  expect(events).toBe(1);
});

test('UNBLOCKED: a wait for replicas that somebody ends proves nothing', async () => {
  await using redis = await startRedis();
  await using replica = await startReplica(redis);
  const events = await outlast(redis, {
    word: 'UNBLOCKED',
    code: 'REDIS_NOT_READY',
    env: { WALRELAY_DURABILITY: 'replicas:1' },
    provoke: async (admin) => {
      replica.pause();
      void waitFor('a wait to end', async () => {
        const clients = String(await admin.client('LIST')).split('\n');
        const waiting = clients.find((client) => client.includes(' cmd=wait ') && / flags=\w*b/.test(client));
        const id = /^id=(\d+)/.exec(waiting ?? '')?.[1];
        return id !== undefined && (await admin.call('CLIENT', 'UNBLOCK', id, 'ERROR')) === 1;
      }).catch(() => undefined);
    },
    mend: async () => {
      replica.resume();
    },
  });
  expect(events).toBe(1);
});

test('a Redis password that is rotated ends the relay at its next reconnect, and is never shown', async () => {
  await using redis = await startRedis();
  await using outbox = await createOutbox({ redisUrl: redis.url });
  await using relay = RelayInProcess.start({ ...outbox.env, ...QUICK });
  await relay.line(({ msg }) => msg === 'streaming');
  await outbox.redis.config('SET', 'requirepass', 'the-new-one');
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await outbox.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  expect(await relay.ended).toMatchObject({ code: 'REDIS_AUTH', exitCode: 66 });
  expect(relay.text).not.toContain(redis.password);
  expect(relay.text).not.toContain('the-new-one');
  // Its supervisor starts it anew, with the new secret.
  const url = new URL(redis.url);
  url.password = 'the-new-one';
  await using next = RelayInProcess.start({ ...outbox.env, ...QUICK, REDIS_URL: url.href });
  await next.line(({ msg }) => msg === 'streaming');
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 2);
});

test('a Postgres password that is rotated ends the relay at its next reconnect, and is never shown', async () => {
  await using outbox = await createOutbox();
  const role = outbox.name;
  await outbox.query(`CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'the-old-one'`);
  await outbox.query(`GRANT CONNECT ON DATABASE ${outbox.name} TO ${role}`);
  const urlWith = (password: string): string => {
    const url = new URL(outbox.databaseUrl);
    url.username = role;
    url.password = password;
    return url.href;
  };
  await using relay = RelayInProcess.start({ ...outbox.env, ...QUICK, DATABASE_URL: urlWith('the-old-one') });
  await relay.line(({ msg }) => msg === 'streaming');
  await outbox.query(`ALTER ROLE ${role} PASSWORD 'the-new-one'`);
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await outbox.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [role]);
  const error = await relay.ended;
  expect(error).toMatchObject({ code: 'PG_AUTH', exitCode: 65 });
  expect(error?.hint).toContain('If it was rotated: write the new URL into the file of DATABASE_URL_FILE');
  expect(relay.text).not.toMatch(/the-(old|new)-one/);
  await using next = RelayInProcess.start({ ...outbox.env, ...QUICK, DATABASE_URL: urlWith('the-new-one') });
  await next.line(({ msg }) => msg === 'streaming');
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 2);
  await next.stop();
  await outbox.query(`REVOKE ALL ON DATABASE ${outbox.name} FROM ${role}`);
  await outbox.query(`DROP ROLE ${role}`);
});
