import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { RedisUser } from '../support/redis-user.ts';
import { createOutbox } from '../support/servers.ts';
import { expectRelays, refusalOf, refusedRun } from '../support/setup-refusal.ts';
import { Role } from '../support/setup-role.ts';

/** All that `run`, and taking over after a crash, needs of Redis. */
const COMMANDS = '+ping +info +hgetall +hget +hmget +hset +hincrby +xadd +eval +evalsha +script|load'.split(
  ' ',
);

/** Its own streams and its own lane state. */
const keysOf = (outbox: Outbox) => [`~${outbox.name}.*`, `~${outbox.metaKey}`];

test('a role with LOGIN, REPLICATION and CONNECT, and a Redis user with eleven commands, relay exactly', async () => {
  await using outbox = await createOutbox();
  await outbox.query(`REVOKE ALL ON DATABASE ${outbox.name} FROM PUBLIC`);
  await outbox.query('REVOKE ALL ON SCHEMA public FROM PUBLIC');
  await using role = await Role.create(outbox, 'LOGIN REPLICATION');
  await outbox.query(`GRANT CONNECT ON DATABASE ${outbox.name} TO ${role.name}`);
  const [rights] = await outbox.query<{ canRead: boolean }>(
    `SELECT has_table_privilege('${role.name}', 'outbox', 'SELECT') AS "canRead"`,
  );
  expect(rights).toEqual({ canRead: false });
  await using user = await RedisUser.create(outbox, ...keysOf(outbox), ...COMMANDS);
  const env = { DATABASE_URL: role.url, REDIS_URL: user.url };

  const oracle = await Oracle.create(outbox);
  const crashed = outbox.start(env);
  await crashed.streaming();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await crashed.kill();
  await outbox.insert();
  await expectRelays(outbox, env);
  expect(await expectExact(outbox, oracle)).toBe(3);

  const shown = await runCli(['epoch', 'show'], { ...outbox.env, ...env });
  expect(shown).toMatchObject({ exitCode: 0, stderr: '' });
  expect(shown.stdout).toContain('It fits Postgres.');
});

test('a Redis user that may not read the lane state is refused, by the name of the command', async () => {
  await using outbox = await createOutbox();
  await using user = await RedisUser.create(outbox, ...keysOf(outbox), ...COMMANDS, '-hgetall');
  const refusal = await refusedRun(outbox, { REDIS_URL: user.url });
  expect(refusal).toMatchObject({ code: 'REDIS_PRIVILEGE', exitCode: 66 });
  expect(refusal.message).toContain('hgetall');
});

test('a Redis user that may not write to a stream stops the relay in front of the event, with nothing confirmed', async () => {
  await using outbox = await createOutbox();
  await using user = await RedisUser.create(
    outbox,
    `~${outbox.metaKey}`,
    `~${outbox.stream('allowed')}`,
    `~${outbox.stream('probe')}`,
    ...COMMANDS,
  );
  const env = { REDIS_URL: user.url };
  const daemon = outbox.start(env);
  await daemon.streaming();
  await outbox.insert({ aggregateType: 'allowed' });
  await outbox.waitForLength(outbox.stream('allowed'), 1);
  await outbox.waitUntilConfirmed();
  await outbox.insert({ aggregateType: 'forbidden' });
  const refusal = refusalOf(await daemon.exited, { ...outbox.env, ...env });
  expect(refusal).toMatchObject({ code: 'REDIS_PRIVILEGE', exitCode: 66 });
  expect(refusal.message).toContain('NOPERM');
  await outbox.redis.call('ACL', 'SETUSER', outbox.name, `~${outbox.stream('forbidden')}`);
  await expectRelays(outbox, env);
  expect(await outbox.redis.xlen(outbox.stream('forbidden'))).toBe(1);
});
