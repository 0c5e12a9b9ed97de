import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { callRedis } from '../../dev/servers/redis-call.ts';
import { type CertificateFiles, Certificates } from '../support/certificates.ts';
import { type Env, runCli } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { RefusingTls } from '../support/refusing-tls.ts';
import { RedisUser } from '../support/redis-user.ts';
import { createOutbox } from '../support/servers.ts';
import { expectRelays, type Refusal, refusedCommand, refusedRun } from '../support/setup-refusal.ts';
import { serveRedis, startTlsRedis, type TlsRedis, tlsUrl } from '../support/tls-redis.ts';
import { waitFor } from '../support/wait-for.ts';

/** Some of these start many relays, one after the other. */
vi.setConfig({ testTimeout: 240_000 });

const DAY_MS = 24 * 60 * 60 * 1000;
const TLS_HANDSHAKE = '1603';

let certificates: Certificates;
let redis: TlsRedis;

beforeAll(async () => {
  certificates = new Certificates();
  redis = await startTlsRedis(certificates);
});

afterAll(async () => {
  await redis?.server.dispose();
  certificates?.[Symbol.dispose]();
});

/** Plain text for the test itself; the relay asks for TLS. */
const createTlsOutbox = () => createOutbox({ redisUrl: redis.server.url });
const verified = (): Env => ({ REDIS_URL: redis.url, WALRELAY_REDIS_CA_FILE: certificates.ca });
const goodFiles = () => certificates.issue('redis', { name: '127.0.0.1' });

async function refusedBoth(outbox: Outbox, env: Env): Promise<Refusal[]> {
  return [await refusedRun(outbox, env), await refusedCommand(['epoch', 'show'], { ...outbox.env, ...env })];
}

test('a relay, its audit and the other commands go through TLS, whatever the case of the scheme', async () => {
  await using outbox = await createTlsOutbox();
  const env = { ...outbox.env, ...verified(), REDIS_URL: redis.url.replace('rediss:', 'REDISS:') };
  const daemon = outbox.start({ ...env, WALRELAY_AUDIT_INTERVAL_MS: '200', WALRELAY_LOG_LEVEL: 'debug' });
  await daemon.streaming();
  const id = await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await daemon.waitForLog('audited: clean');
  await outbox.waitUntilConfirmed();
  expect((await daemon.stop()).exitCode).toBe(0);
  for (const args of [
    ['init'],
    ['epoch', 'show'],
    ['audit', '--json'],
    ['explain', id],
    ['replay', '--id', id, '--yes'],
  ]) {
    const result = await runCli(args, env);
    expect([args[0], result.exitCode, result.stderr]).toEqual([args[0], 0, expect.anything()]);
  }
});

describe('a certificate that proves nothing', () => {
  const cases: [what: string, issue: () => CertificateFiles, says: RegExp, fix: RegExp][] = [
    [
      'has expired',
      () =>
        certificates.issue('expired', { name: '127.0.0.1', validFromMs: -2 * DAY_MS, validToMs: -DAY_MS }),
      /certificate has expired/,
      /Renew the certificate of Redis/,
    ],
    [
      'does not count yet',
      () => certificates.issue('early', { name: '127.0.0.1', validFromMs: DAY_MS, validToMs: 2 * DAY_MS }),
      /not yet valid/,
      /clock/,
    ],
    [
      'is of another host',
      () => certificates.issue('other', { name: 'cache.example' }),
      /does not match certificate's altnames/,
      /WALRELAY_REDIS_TLS=verify-ca/,
    ],
    [
      'an unknown authority has signed',
      () => {
        using others = new Certificates('Somebody else');
        return certificates.adopt('foreign', others.issue('foreign', { name: '127.0.0.1' }));
      },
      /unable to verify the first certificate|self-signed certificate/,
      /WALRELAY_REDIS_CA_FILE/,
    ],
  ];

  test.each(cases)('one that %s is refused, and named', async (_, issue, says, fix) => {
    await using outbox = await createTlsOutbox();
    await serveRedis(redis.server, issue());
    const refusal = await refusedRun(outbox, verified());
    await serveRedis(redis.server, goodFiles());
    expect(refusal).toMatchObject({ code: 'REDIS_TLS', exitCode: 66 });
    expect(refusal.message).toMatch(says);
    expect(refusal.hint).toMatch(fix);
  });

  test('verify-ca takes another host’s, of the authority that is named; no-verify takes any, with a warning', async () => {
    await using outbox = await createTlsOutbox();
    await serveRedis(redis.server, certificates.issue('other', { name: 'cache.example' }));
    await expectRelays(outbox, { ...verified(), WALRELAY_REDIS_TLS: 'verify-ca' });
    const daemon = outbox.start({ REDIS_URL: redis.url, WALRELAY_REDIS_TLS: 'no-verify' });
    await daemon.streaming();
    expect(daemon.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)).toContainEqual(
      expect.stringContaining('WALRELAY_REDIS_TLS=no-verify'),
    );
    await daemon.stop();
    using others = new Certificates('Somebody else');
    const foreign = { ...verified(), WALRELAY_REDIS_CA_FILE: others.ca, WALRELAY_REDIS_TLS: 'verify-ca' };
    expect(await refusedRun(outbox, foreign)).toMatchObject({ code: 'REDIS_TLS', exitCode: 66 });
    await serveRedis(redis.server, goodFiles());
  });
});

test.each(['+OK\r\n', '-ERR no\r\n'])(
  'a server that answers the greeting with %j gets nothing else',
  async (answer) => {
    await using outbox = await createOutbox();
    await using refusing = await RefusingTls.start(answer);
    const scheme = refusing.url(outbox.redisUrl).replace('redis:', 'rediss:');
    const wishes: Env[] = [
      { REDIS_URL: scheme },
      { REDIS_URL: scheme.replace('rediss:', 'Rediss:') },
      { REDIS_URL: scheme, WALRELAY_REDIS_TLS: 'no-verify' },
      { REDIS_URL: scheme, WALRELAY_REDIS_MODE: 'sentinel' },
      { REDIS_URL: scheme, WALRELAY_REDIS_MODE: 'cluster' },
    ];
    const daemons = wishes.map((env) => outbox.start({ ...env, WALRELAY_START_TIMEOUT_MS: '1' }));
    for (const daemon of daemons) {
      const { exitCode, stderr } = await daemon.exited;
      expect([exitCode, stderr]).toEqual([66, expect.stringContaining('does not speak TLS')]);
    }
    expect(refusing.received.length).toBeGreaterThanOrEqual(daemons.length);
    for (const sent of refusing.received) expect(sent.subarray(0, 2).toString('hex')).toBe(TLS_HANDSHAKE);
  },
);

test('a certificate of the relay’s own: missing, of a foreign authority, right', async () => {
  const asking = await startTlsRedis(certificates, '--tls-auth-clients', 'yes');
  await using server = asking.server;
  await using outbox = await createOutbox({ redisUrl: server.url });
  const env = { REDIS_URL: asking.url, WALRELAY_REDIS_CA_FILE: certificates.ca };
  for (const refusal of await refusedBoth(outbox, env)) {
    expect(refusal).toMatchObject({ code: 'REDIS_TLS', exitCode: 66 });
    expect(refusal.hint).toContain('WALRELAY_REDIS_CERT_FILE');
  }
  using others = new Certificates('Somebody else');
  const withClient = ({ cert, key }: CertificateFiles) => ({
    ...env,
    WALRELAY_REDIS_CERT_FILE: cert,
    WALRELAY_REDIS_KEY_FILE: key,
  });
  const refused = await refusedRun(outbox, withClient(others.issue('client', { name: 'walrelay' })));
  expect(refused).toMatchObject({ code: 'REDIS_TLS', exitCode: 66 });
  expect(refused.hint).toContain('refused the relay');
  await expectRelays(outbox, withClient(certificates.issue('client', { name: 'walrelay' })));
});

test('what is replaced under a running relay, password of an ACL user, authority, certificates, counts for its next session', async () => {
  await using outbox = await createTlsOutbox();
  await using user = await RedisUser.create(outbox, '~*', '+@all');
  using files = new Certificates('Files');
  const ca = files.write('trusted.crt', readFileSync(certificates.ca, 'utf8'));
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({
    REDIS_URL: '',
    REDIS_URL_FILE: files.write('redis-url', `${tlsUrl(user.url, redis.tlsPort)}\n`),
    WALRELAY_REDIS_CA_FILE: ca,
  });
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitUntilConfirmed();
  let lines = daemon.log.length;
  const endSessions = async () => await callRedis(redis.server.url, 'CLIENT', 'KILL', 'USER', outbox.name);
  const goesOn = async () => {
    await endSessions();
    await daemon.waitForLog('streaming', { since: lines });
    lines = daemon.log.length;
    await outbox.insert();
    await outbox.waitUntilConfirmed();
  };

  await outbox.redis.call('ACL', 'SETUSER', outbox.name, 'resetpass', '>rotated %/@');
  const url = new URL(tlsUrl(user.url, redis.tlsPort));
  url.password = encodeURIComponent('rotated %/@');
  files.write('redis-url', url.href);
  await goesOn();

  using second = new Certificates('Second');
  files.write('trusted.crt', readFileSync(second.ca, 'utf8'));
  await serveRedis(redis.server, second.issue('redis', { name: '127.0.0.1' }));
  await goesOn();

  files.write('trusted.crt', '');
  await endSessions();
  await waitFor('a session that finds half a file', () =>
    daemon.log.slice(lines).find(({ err }) => err?.code === 'SECRET_UNREADABLE'),
  );
  files.write('trusted.crt', readFileSync(second.ca, 'utf8'));
  await daemon.waitForLog('streaming', { since: lines });

  await serveRedis(redis.server, goodFiles());
  expect(await expectExact(outbox, oracle)).toBe(3);
  expect((await daemon.stop()).exitCode).toBe(0);
  expect(daemon.stderr).not.toContain('rotated');
});
