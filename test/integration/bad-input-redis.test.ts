import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { Outbox } from '../support/outbox.ts';
import { expectRelays, refusedCommand, refusedRun } from '../support/setup-refusal.ts';

let server: RedisServer;
let admin: Redis;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
});
afterAll(async () => {
  admin.disconnect();
  await server.dispose();
});

const createOutbox = () => Outbox.create({ databaseUrl: inject('databaseUrl'), redisUrl: server.url });

/** As an operator types it into redis-cli. */
async function redisCli(command: string): Promise<void> {
  const [name = '', ...args] = command.split(' ');
  await admin.call(name, ...args);
}

test('a Redis that is set up as a cache is refused until it evicts nothing', async () => {
  await using outbox = await createOutbox();
  await redisCli('CONFIG SET maxmemory-policy allkeys-lru');
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'REDIS_EVICTS', exitCode: 66 });
  expect(refusal.message).toContain('maxmemory-policy allkeys-lru');
  expect(await refusedCommand(['init'], outbox.env)).toMatchObject({ code: 'REDIS_EVICTS', exitCode: 66 });
  await redisCli(refusal.hint);
  await expectRelays(outbox);
});

test('a limit on arguments below the largest event is refused until it is raised', async () => {
  await using outbox = await createOutbox();
  await redisCli('CONFIG SET proto-max-bulk-len 1mb');
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'REDIS_LIMIT', exitCode: 66 });
  expect(refusal.message).toContain('1048576 bytes');
  const fix = /^(CONFIG SET \S+ \S+), or lower (WALRELAY_\w+)/.exec(refusal.hint);
  await expectRelays(outbox, { [fix?.[2] ?? '']: '512KiB' });
  await redisCli(fix?.[1] ?? '');
  await expectRelays(outbox);
});

test('a Redis that keeps nothing on disk is a warning, or a refusal where persistence is required', async () => {
  await using outbox = await createOutbox();
  await redisCli('CONFIG SET appendonly no');
  const required = { WALRELAY_REDIS_PERSISTENCE: 'require' };
  const refusal = await refusedRun(outbox, required);
  expect(refusal).toMatchObject({ code: 'REDIS_VOLATILE', exitCode: 66 });
  expect(refusal.message).toContain('a restart loses every stream');

  const daemon = outbox.start();
  await daemon.streaming();
  expect(daemon.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)).toContainEqual(
    expect.stringContaining('keeps nothing on disk'),
  );
  await daemon.stop();

  await redisCli(/^(CONFIG SET \S+ \S+),/.exec(refusal.hint)?.[1] ?? '');
  await expectRelays(outbox, required);
});

test('a replica is refused by init at once and by run after the start timeout', async () => {
  await using outbox = await createOutbox();
  const password = new URL(server.url).password;
  await using replica = await startRedis({
    args: ['--replicaof', `127.0.0.1 ${server.port}`, '--masterauth', password, '--requirepass', password],
  });
  const env = { REDIS_URL: replica.url, WALRELAY_START_TIMEOUT_MS: '1' };
  for (const refusal of [
    await refusedRun(outbox, env),
    await refusedCommand(['init'], { ...outbox.env, ...env }),
  ]) {
    expect(refusal).toMatchObject({ code: 'REDIS_NOT_PRIMARY', exitCode: 69 });
    expect(refusal.message).toContain('read-only replica');
    expect(refusal.hint).toContain('point REDIS_URL at the primary');
  }
});

test('a foreign key under the lane state’s name is named and left alone', async () => {
  await using outbox = await createOutbox();
  const env = { WALRELAY_META_KEY: `${outbox.name}.foreign` };
  await outbox.redis.set(env.WALRELAY_META_KEY, 'precious');
  for (const refusal of [
    await refusedRun(outbox, env),
    await refusedCommand(['init'], { ...outbox.env, ...env }),
  ]) {
    expect(refusal).toMatchObject({ code: 'REDIS_KEY_TYPE', exitCode: 66 });
    expect(refusal.hint).toContain('WALRELAY_META_KEY');
  }
  expect(await outbox.redis.get(env.WALRELAY_META_KEY)).toBe('precious');
});

test('a hash that is no lane state is not taken for one', async () => {
  await using outbox = await createOutbox();
  const env = { WALRELAY_META_KEY: `${outbox.name}.foreign` };
  await outbox.redis.hset(env.WALRELAY_META_KEY, { customer: '17' });
  const refusal = await refusedRun(outbox, env);
  expect(refusal).toMatchObject({ code: 'LANE_VERSION', exitCode: 67 });
  expect(refusal.message).toContain(env.WALRELAY_META_KEY);
  expect(await outbox.redis.hgetall(env.WALRELAY_META_KEY)).toEqual({ customer: '17' });
});

test('a Redis with no connection left is waited for', async () => {
  await using outbox = await createOutbox();
  await redisCli('CONFIG SET maxclients 1');
  try {
    const daemon = outbox.start();
    const line = await daemon.waitForLog('session ended; a new one follows');
    // Redis says why and hangs up; which of the two is seen first is up to the socket.
    expect(['REDIS_NOT_READY', 'REDIS_UNREACHABLE']).toContain(line.err?.code);
    await redisCli('CONFIG SET maxclients 10000');
    await daemon.streaming();
    expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
  } finally {
    await redisCli('CONFIG SET maxclients 10000');
  }
});

test('a Redis user without a needed command is refused by the command’s name, until it may', async () => {
  await using outbox = await createOutbox();
  await redisCli(`ACL SETUSER ${outbox.name} on >pw_${outbox.name} ~* +@all -evalsha`);
  const url = new URL(server.url);
  url.username = outbox.name;
  url.password = `pw_${outbox.name}`;
  const daemon = outbox.start({ REDIS_URL: url.href });
  await daemon.streaming();
  const before = await outbox.redis.hget(outbox.metaKey, 'watermark');
  await outbox.insert();
  const result = await daemon.exited;
  expect(result.exitCode).toBe(66);
  expect(result.stderr).toContain('REDIS_PRIVILEGE');
  expect(result.stderr).toContain('evalsha');
  expect(result.stderr).not.toContain(`pw_${outbox.name}`);
  expect(await outbox.redis.hget(outbox.metaKey, 'watermark')).toBe(before);
  await redisCli(`ACL SETUSER ${outbox.name} +evalsha`);
  await expectRelays(outbox, { REDIS_URL: url.href });
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
  await redisCli(`ACL DELUSER ${outbox.name}`);
});
