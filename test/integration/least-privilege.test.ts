import { Client, type ClientConfig } from 'pg';
import { expect, test, vi } from 'vitest';
import { startRedis } from '../../dev/servers/redis.ts';
import { callRedis } from '../../dev/servers/redis-call.ts';
import { startCluster } from '../../dev/servers/redis-cluster.ts';
import { redisFlavour } from '../../dev/servers/redis-flavour.ts';
import { startReplica, untilLinked } from '../../dev/servers/redis-replica.ts';
import { Certificates } from '../support/certificates.ts';
import { runCli } from '../support/cli.ts';
import { ClusterStreams, createClusterOutbox } from '../support/cluster-outbox.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import { furtherRules, grants, hbaLines, redisRules, runRoleSql } from '../support/operator-files.ts';
import type { Outbox } from '../support/outbox.ts';
import { RedisUser } from '../support/redis-user.ts';
import { createOutbox } from '../support/servers.ts';
import { expectRelays, refusalOf, refusedRun } from '../support/setup-refusal.ts';
import { letInOnly, startTlsPostgres } from '../support/tls-postgres.ts';

/** Some of these start many relays, one after the other. */
vi.setConfig({ testTimeout: 240_000 });

/** What the page gives the Redis user, for the keys of this outbox. */
const rulesOf = (outbox: Outbox) => redisRules({ meta: outbox.metaKey, streams: `${outbox.name}.` });

test('role.sql, pg_hba.conf and the Redis user of the page, as they stand there: relays exactly, through TLS', async () => {
  using certificates = new Certificates();
  await using server = await startTlsPostgres(certificates);
  await using outbox = await createOutbox({ databaseUrl: server.url });
  await outbox.query(`REVOKE ALL ON DATABASE ${outbox.name} FROM PUBLIC`);
  await outbox.query('REVOKE ALL ON SCHEMA public FROM PUBLIC');
  const password = "it's: a/b@c";
  // Twice: it says that it is safe to repeat.
  for (let run = 0; run < 2; run += 1) await runRoleSql(outbox.pool, { password, database: outbox.name });
  await letInOnly(server, ...hbaLines({ database: outbox.name, address: '127.0.0.1/32' }));
  const [rights] = await outbox.query<{ canRead: boolean }>(
    `SELECT has_table_privilege('walrelay', 'outbox', 'SELECT') AS "canRead"`,
  );
  expect(rights).toEqual({ canRead: false });
  const keys = { meta: outbox.metaKey, streams: `${outbox.name}.` };
  await using user = await RedisUser.create(outbox, ...redisRules(keys));
  const url = new URL(outbox.databaseUrl);
  url.username = 'walrelay';
  url.password = encodeURIComponent(password);
  const plain = { DATABASE_URL: url.href, REDIS_URL: user.url };
  const env = { ...plain, WALRELAY_POSTGRES_CA_FILE: certificates.ca };

  const refused = await refusedRun(outbox, plain);
  expect(refused).toMatchObject({ code: 'PG_AUTH', exitCode: 65 });
  // A copy of the whole cluster is what the last line of the file keeps from it.
  const replication = new Client({
    connectionString: `${url.href}?sslmode=no-verify`,
    replication: 'true',
  } as ClientConfig);
  await expect(replication.connect()).rejects.toMatchObject({ code: '28000' });

  const oracle = await Oracle.create(outbox);
  const crashed = outbox.start(env);
  await crashed.streaming();
  const id = await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await crashed.kill();
  await outbox.insert();
  await expectRelays(outbox, env);
  expect(await expectExact(outbox, oracle)).toBe(3);

  const run = async (...args: string[]) => await runCli(args, { ...outbox.env, ...env });
  expect(await run('init')).toMatchObject({ exitCode: 0 });
  const shown = await run('epoch', 'show');
  expect(shown).toMatchObject({ exitCode: 0, stderr: '' });
  expect(shown.stdout).toContain('It fits Postgres.');

  const allow = async (...rules: string[]) =>
    await outbox.redis.call('ACL', 'SETUSER', outbox.name, ...rules);
  // What reads the table is told what it lacks, and then granted what the page says.
  expect((await run('audit')).stderr).toContain('GRANT SELECT');
  for (const grant of [...grants('SELECT'), ...grants('USAGE')]) await outbox.query(grant);
  expect((await run('audit')).stderr).toContain('REDIS_PRIVILEGE');
  await allow(...furtherRules('`audit`, and the audit of `run`'));
  expect(await run('audit')).toMatchObject({ exitCode: 0 });
  expect(await run('replay', '--id', id, '--yes')).toMatchObject({ exitCode: 0 });
  expect((await run('explain', id)).stderr).toContain('REDIS_PRIVILEGE');
  await allow(...furtherRules('| `explain` |'));
  expect(await run('explain', id)).toMatchObject({ exitCode: 0 });
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
  await user.reset(...redisRules(keys));
  expect((await run('recover', '--yes')).stderr).toContain('REDIS_PRIVILEGE');
  await allow(...furtherRules('In Redis it needs'));
  expect(await run('recover', '--yes')).toMatchObject({ exitCode: 0 });
  await expectRelays(outbox, env);
});

test('durability needs the one command more that the page names', async ({ skip }) => {
  await using primary = await startRedis();
  await using replica = await startReplica(primary);
  await untilLinked(replica);
  await using outbox = await createOutbox({ redisUrl: primary.url, isRedisOwn: true });
  const keys = { meta: outbox.metaKey, streams: `${outbox.name}.` };
  await using user = await RedisUser.create(outbox, ...redisRules(keys));
  const env = { REDIS_URL: user.url, WALRELAY_DURABILITY: 'replicas:1' };
  // Nobody says that it may not wait before there is something to wait for.
  const waiting = await outbox.start(env).exited;
  expect(refusalOf(waiting, { ...outbox.env, ...env })).toMatchObject({
    code: 'REDIS_PRIVILEGE',
    exitCode: 66,
  });
  const [wait = '', waitAof = ''] = furtherRules('`+wait` is needed for');
  await outbox.redis.call('ACL', 'SETUSER', outbox.name, wait);
  await expectRelays(outbox, env);

  const binary = await redisFlavour('valkey-8');
  if ('missing' in binary) return skip(binary.missing);
  await using valkey = await startRedis({ binary });
  await using second = await createOutbox({ redisUrl: valkey.url, isRedisOwn: true });
  await using other = await RedisUser.create(
    second,
    ...redisRules({ meta: second.metaKey, streams: `${second.name}.` }),
  );
  const fsync = { REDIS_URL: other.url, WALRELAY_DURABILITY: 'fsync' };
  expect(await refusedRun(second, fsync)).toMatchObject({ code: 'REDIS_PRIVILEGE', exitCode: 66 });
  await second.redis.call('ACL', 'SETUSER', second.name, waitAof);
  await expectRelays(second, fsync);
});

test('on a cluster: two commands more, on every node', async () => {
  await using cluster = await startCluster();
  await using outbox = await createClusterOutbox(cluster);
  const streams = new ClusterStreams(outbox, cluster);
  const rules = redisRules({ meta: outbox.metaKey, streams: `${outbox.name}.` });
  const set = async (...more: string[]) => {
    for (const { url } of cluster.nodes)
      await callRedis(url, 'ACL', 'SETUSER', 'walrelay', 'reset', 'on', '>password', ...rules, ...more);
  };
  const url = new URL(cluster.url);
  url.username = 'walrelay';
  url.password = 'password';
  const env = { ...streams.streamEnv(), REDIS_URL: url.href };
  await set();
  expect(await refusedRun(outbox, env)).toMatchObject({ code: 'REDIS_PRIVILEGE', exitCode: 66 });
  await set(...furtherRules('On a cluster:'));
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(env);
  await daemon.streaming();
  for (const aggregateType of ['order', 'customer', 'invoice']) await outbox.insert({ aggregateType });
  await outbox.waitUntilConfirmed();
  expect(await streams.expectExact(oracle)).toBe(3);
  expect((await daemon.stop()).exitCode).toBe(0);
});

test('a Redis user that may not read the lane state is refused, by the name of the command', async () => {
  await using outbox = await createOutbox();
  await using user = await RedisUser.create(outbox, ...rulesOf(outbox), '-hgetall');
  const refusal = await refusedRun(outbox, { REDIS_URL: user.url });
  expect(refusal).toMatchObject({ code: 'REDIS_PRIVILEGE', exitCode: 66 });
  expect(refusal.message).toContain('hgetall');
});

test('a Redis user that may not write to a stream stops the relay in front of the event, with nothing confirmed', async () => {
  await using outbox = await createOutbox();
  await using user = await RedisUser.create(
    outbox,
    `~${outbox.metaKey}*`,
    `~${outbox.stream('allowed')}`,
    `~${outbox.stream('probe')}`,
    ...rulesOf(outbox).filter((rule) => !rule.startsWith('~')),
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
