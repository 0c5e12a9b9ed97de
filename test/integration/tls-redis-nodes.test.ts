import { expect, test, vi } from 'vitest';
import { freePort } from '../../dev/servers/free-port.ts';
import { startCluster } from '../../dev/servers/redis-cluster.ts';
import { Certificates } from '../support/certificates.ts';
import { ClusterStreams, createClusterOutbox } from '../support/cluster-outbox.ts';
import { Oracle } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';
import { expectRelays, refusedRun } from '../support/setup-refusal.ts';
import { redisTlsArgs, startTlsRedis, startTlsSentinel, tlsUrl } from '../support/tls-redis.ts';

/** Some of these start many relays, one after the other. */
vi.setConfig({ testTimeout: 240_000 });

test('sentinels and the master that they name are asked through TLS, and a certificate of theirs that is refused is named', async () => {
  using certificates = new Certificates();
  const redis = await startTlsRedis(certificates);
  await using master = redis.server;
  await using sentinel = await startTlsSentinel(certificates, redis);
  await using outbox = await createOutbox({ redisUrl: master.url });
  const url = new URL(redis.url);
  url.host = sentinel.address;
  const env = {
    REDIS_URL: url.href,
    WALRELAY_REDIS_MODE: 'sentinel',
    WALRELAY_REDIS_SENTINEL_PASSWORD: master.password,
    WALRELAY_REDIS_CA_FILE: certificates.ca,
  };
  await expectRelays(outbox, env);
  // The driver itself would only say that the connection is closed.
  const refused = await refusedRun(outbox, { ...env, WALRELAY_REDIS_CA_FILE: 'none' });
  expect(refused).toMatchObject({ code: 'REDIS_TLS', exitCode: 66 });
  expect(refused.hint).toContain('WALRELAY_REDIS_CA_FILE');
});

test('every node of a cluster is spoken to through TLS', async () => {
  using certificates = new Certificates();
  const tlsPorts: number[] = [];
  await using cluster = await startCluster({
    nodeArgs: async () => {
      const tlsPort = await freePort();
      tlsPorts.push(tlsPort);
      return [...redisTlsArgs(certificates, tlsPort), '--tls-cluster', 'yes', '--tls-replication', 'yes'];
    },
  });
  await using outbox = await createClusterOutbox(cluster, { WALRELAY_REDIS_NODES: 'none' });
  const streams = new ClusterStreams(outbox, cluster);
  const oracle = await Oracle.create(outbox);
  const env = {
    ...streams.streamEnv(),
    REDIS_URL: tlsUrl(cluster.url, tlsPorts[0] as number),
    WALRELAY_REDIS_CA_FILE: certificates.ca,
  };
  const daemon = outbox.start(env);
  await daemon.streaming();
  for (const aggregateType of ['order', 'customer', 'invoice', 'shipment'])
    await outbox.insert({ aggregateType });
  await outbox.waitUntilConfirmed();
  expect(await streams.expectExact(oracle)).toBe(4);
  expect((await daemon.stop()).exitCode).toBe(0);
  const refused = await refusedRun(outbox, { ...env, WALRELAY_REDIS_CA_FILE: 'none' });
  expect(refused).toMatchObject({ code: 'REDIS_TLS', exitCode: 66 });
});
