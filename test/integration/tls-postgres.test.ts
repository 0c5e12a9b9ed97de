import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { PostgresServer } from '../../dev/servers/postgres.ts';
import { Certificates } from '../support/certificates.ts';
import { type Env, runCli } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { RefusingTls } from '../support/refusing-tls.ts';
import { createOutbox } from '../support/servers.ts';
import { expectRelays, refusedRun } from '../support/setup-refusal.ts';
import { Role } from '../support/setup-role.ts';
import { letIn, servePostgres, startTlsPostgres } from '../support/tls-postgres.ts';
import { TlsImpostor } from '../support/tls-impostor.ts';
import { waitFor } from '../support/wait-for.ts';

/** Some of these start many relays, one after the other. */
vi.setConfig({ testTimeout: 240_000 });

const SSL_REQUEST_BYTES = 8;
const DAY_MS = 24 * 60 * 60 * 1000;

let certificates: Certificates;
let server: PostgresServer;

beforeAll(async () => {
  certificates = new Certificates();
  server = await startTlsPostgres(certificates);
});

afterAll(async () => {
  await server?.dispose();
  certificates?.[Symbol.dispose]();
});

/** Plain text for the test itself; the relay asks for TLS. */
const createTlsOutbox = () => createOutbox({ databaseUrl: server.url });
const verified = (): Env => ({ WALRELAY_POSTGRES_CA_FILE: certificates.ca });
const goodFiles = () => certificates.issue('postgres', { name: '127.0.0.1' });

function withParameters(url: string, parameters: Env): string {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(parameters)) changed.searchParams.set(name, value);
  return changed.href;
}

test('every connection of every command is encrypted: plain text would be rejected', async () => {
  await using outbox = await createTlsOutbox();
  await using role = await Role.create(outbox, 'LOGIN REPLICATION');
  await outbox.query(`GRANT SELECT, DELETE, UPDATE ON outbox TO ${role.name}`);
  await letIn(server, `hostnossl all ${role.name} all reject`);
  const env = { ...outbox.env, ...verified(), DATABASE_URL: role.url };

  const plain = await refusedRun(outbox, { DATABASE_URL: role.url });
  expect(plain).toMatchObject({ code: 'PG_AUTH', exitCode: 65 });

  const daemon = outbox.start({ ...env, WALRELAY_AUDIT_INTERVAL_MS: '200', WALRELAY_LOG_LEVEL: 'debug' });
  await daemon.streaming();
  const id = await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await waitFor('the walsender, the watch and the guardian', async () => {
    const rows = await outbox.query<{ ssl: boolean }>(
      'SELECT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = $1',
      [role.name],
    );
    expect(rows.every(({ ssl }) => ssl)).toBe(true);
    return rows.length >= 3;
  });
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
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
  const recovered = await runCli(['recover', '--yes'], env);
  expect([recovered.exitCode, recovered.stderr]).toEqual([0, expect.anything()]);
  const poller = outbox.start(env, { args: ['poll'] });
  await poller.waitForLog('polling');
  expect((await poller.stop()).exitCode).toBe(0);
});

describe('a certificate that proves nothing', () => {
  const cases: [what: string, issue: () => Parameters<typeof servePostgres>[1], says: RegExp, fix: RegExp][] =
    [
      [
        'has expired',
        () =>
          certificates.issue('expired', { name: '127.0.0.1', validFromMs: -2 * DAY_MS, validToMs: -DAY_MS }),
        /certificate has expired/,
        /Renew the certificate of Postgres/,
      ],
      [
        'does not count yet',
        () => certificates.issue('early', { name: '127.0.0.1', validFromMs: DAY_MS, validToMs: 2 * DAY_MS }),
        /not yet valid/,
        /clock/,
      ],
      [
        'is of another host',
        () => certificates.issue('other', { name: 'db.example' }),
        /does not match certificate's altnames/,
        /verify-ca/,
      ],
      [
        'an unknown authority has signed',
        () => {
          using others = new Certificates('Somebody else');
          const { cert, key } = others.issue('foreign', { name: '127.0.0.1' });
          return certificates.adopt('foreign', { cert, key });
        },
        /unable to verify the first certificate|self-signed certificate/,
        /WALRELAY_POSTGRES_CA_FILE/,
      ],
    ];

  test.each(cases)('one that %s is refused, and named', async (_, issue, says, fix) => {
    await using outbox = await createTlsOutbox();
    await servePostgres(server, issue());
    const refusal = await refusedRun(outbox, verified());
    await servePostgres(server, goodFiles());
    expect(refusal).toMatchObject({ code: 'PG_TLS', exitCode: 65 });
    expect(refusal.message).toMatch(says);
    expect(refusal.hint).toMatch(fix);
  });

  test('an authority that nobody has named is unknown, whatever the word for TLS is', async () => {
    await using outbox = await createTlsOutbox();
    for (const parameters of [
      { sslmode: 'require' },
      { sslmode: 'prefer' },
      { sslmode: 'verify-full' },
      { ssl: 'true' },
    ]) {
      const refusal = await refusedRun(outbox, {
        DATABASE_URL: withParameters(outbox.databaseUrl, parameters),
      });
      expect(refusal).toMatchObject({ code: 'PG_TLS', exitCode: 65 });
      expect(refusal.hint).toContain('WALRELAY_POSTGRES_CA_FILE');
      // The driver has a warning of its own about these words, and they mean something else in its next version.
      expect(refusal.result.stderr).not.toContain('SECURITY WARNING');
    }
  });

  test('verify-ca takes another host’s, of the authority that is named; no-verify takes any, with a warning', async () => {
    await using outbox = await createTlsOutbox();
    await servePostgres(server, certificates.issue('other', { name: 'db.example' }));
    const ca = withParameters(outbox.databaseUrl, { sslmode: 'verify-ca', sslrootcert: certificates.ca });
    await expectRelays(outbox, { DATABASE_URL: ca });
    const unverified = { DATABASE_URL: withParameters(outbox.databaseUrl, { sslmode: 'no-verify' }) };
    const daemon = outbox.start(unverified);
    await daemon.streaming();
    expect(daemon.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)).toContainEqual(
      expect.stringContaining('sslmode=no-verify'),
    );
    await daemon.stop();
    using others = new Certificates('Somebody else');
    const foreign = withParameters(outbox.databaseUrl, { sslmode: 'verify-ca', sslrootcert: others.ca });
    expect(await refusedRun(outbox, { DATABASE_URL: foreign })).toMatchObject({
      code: 'PG_TLS',
      exitCode: 65,
    });
    await servePostgres(server, goodFiles());
  });

  test('that expires under a running relay ends it when it connects again, not before', async () => {
    await using outbox = await createTlsOutbox();
    const daemon = outbox.start(verified());
    await daemon.streaming();
    await servePostgres(
      server,
      certificates.issue('expired', { name: '127.0.0.1', validFromMs: -2 * DAY_MS, validToMs: -DAY_MS }),
    );
    await outbox.insert();
    await outbox.waitUntilConfirmed();
    await endSessions(outbox);
    const result = await daemon.exited;
    expect(result.exitCode).toBe(65);
    expect(result.stderr).toContain('"PG_TLS"');
    await servePostgres(server, goodFiles());
    await expectRelays(outbox, verified());
  });
});

describe('a server without TLS', () => {
  test.each(['N', 'S', 'E', 'Sx', 'SR\0\0\0\x08\0\0\0\0'])(
    'that answers %j gets nothing but the request for it',
    async (answer) => {
      await using outbox = await createOutbox();
      await using refusing = await RefusingTls.start(answer);
      const asked = ['prefer', 'allow', 'require', 'verify-full', 'no-verify'].map((sslmode) => ({
        DATABASE_URL: refusing.url(withParameters(outbox.databaseUrl, { sslmode })),
      }));
      const implied = { DATABASE_URL: refusing.url(outbox.databaseUrl) };
      const daemons = [
        ...asked,
        { ...implied, WALRELAY_POSTGRES_CA_FILE: certificates.ca },
        { ...implied, PGSSLMODE: 'require' },
      ].map((env: Env) => outbox.start({ ...env, WALRELAY_START_TIMEOUT_MS: '1' }));
      const ends: string[] = [];
      if (answer === 'S') {
        // It greets, and waits for an answer.
        await waitFor('a greeting of each', () => {
          const greeted = refusing.received.filter(({ length }) => length > SSL_REQUEST_BYTES);
          return greeted.length >= daemons.length;
        });
      } else {
        for (const daemon of daemons) {
          const { exitCode, stderr } = await daemon.exited;
          ends.push(`${exitCode} ${/"code":"(\w+)"/.exec(stderr)?.[1]}`);
        }
      }
      const end = { N: ['65 PG_TLS'], S: [] as string[] }[answer] ?? ['69 PG_UNREACHABLE'];
      expect([...new Set(ends)]).toEqual(end);
      expect(refusing.received.length).toBeGreaterThanOrEqual(daemons.length);
      for (const sent of refusing.received) {
        // After the request only the first record of a TLS handshake, 0x16 0x03.
        expect(sent.subarray(SSL_REQUEST_BYTES, SSL_REQUEST_BYTES + 2).toString('hex')).toMatch(/^(1603)?$/);
        expect(sent.includes(outbox.name)).toBe(false);
      }
    },
  );
});

describe('a certificate of the relay’s own', () => {
  test('is what pg_hba.conf may ask for: missing, of a foreign authority, right', async () => {
    await using outbox = await createTlsOutbox();
    await using role = await Role.create(outbox, 'LOGIN REPLICATION');
    await letIn(server, `hostssl all ${role.name} all scram-sha-256 clientcert=verify-full`);
    const env = { ...verified(), DATABASE_URL: role.url };

    const missing = await refusedRun(outbox, env);
    expect(missing).toMatchObject({ code: 'PG_AUTH', exitCode: 65 });
    expect(missing.hint).toContain('WALRELAY_POSTGRES_CERT_FILE');

    using others = new Certificates('Somebody else');
    const foreign = others.issue('client', { name: role.name });
    const refused = await refusedRun(outbox, {
      ...env,
      WALRELAY_POSTGRES_CERT_FILE: foreign.cert,
      WALRELAY_POSTGRES_KEY_FILE: foreign.key,
    });
    expect(refused).toMatchObject({ code: 'PG_TLS', exitCode: 65 });
    expect(refused.hint).toContain('refused the relay');

    const own = certificates.issue('client', { name: role.name });
    await expectRelays(outbox, {
      ...env,
      WALRELAY_POSTGRES_CERT_FILE: own.cert,
      WALRELAY_POSTGRES_KEY_FILE: own.key,
    });
    await expectRelays(outbox, {
      DATABASE_URL: withParameters(role.url, {
        sslrootcert: certificates.ca,
        sslcert: own.cert,
        sslkey: own.key,
      }),
    });
  });
});

describe('what is replaced under a running relay', () => {
  test('password, authority, certificates: the next session takes the new ones, in the same process', async () => {
    await using outbox = await createTlsOutbox();
    await using role = await Role.create(outbox, 'LOGIN REPLICATION');
    await letIn(server, `hostssl all ${role.name} all scram-sha-256 clientcert=verify-full`);
    using files = new Certificates('First');
    const ca = files.write('trusted.crt', readFileSync(certificates.ca, 'utf8'));
    const first = certificates.issue('client', { name: role.name });
    const own = files.adopt('own', first);
    const oracle = await Oracle.create(outbox);
    const daemon = outbox.start({
      DATABASE_URL: '',
      DATABASE_URL_FILE: files.write('database-url', `${role.url}\n`),
      WALRELAY_POSTGRES_CA_FILE: ca,
      WALRELAY_POSTGRES_CERT_FILE: own.cert,
      WALRELAY_POSTGRES_KEY_FILE: own.key,
    });
    await daemon.streaming();
    await outbox.insert();
    let lines = daemon.log.length;
    const goesOn = async () => {
      await endSessions(outbox);
      await daemon.waitForLog('streaming', { since: lines });
      lines = daemon.log.length;
      await outbox.insert();
      await outbox.waitUntilConfirmed();
    };

    await outbox.query(`ALTER ROLE ${role.name} PASSWORD 'rotated %/@'`);
    const url = new URL(role.url);
    url.password = encodeURIComponent('rotated %/@');
    files.write('database-url', url.href);
    await goesOn();

    files.adopt('own', certificates.issue('client', { name: role.name }));
    await goesOn();

    using second = new Certificates('Second');
    files.write('trusted.crt', readFileSync(second.ca, 'utf8'));
    await servePostgres(server, second.issue('postgres', { name: '127.0.0.1' }));
    await goesOn();

    // Whoever replaces a file in place leaves half of it for a moment.
    const whole = files.write('database-url', url.href);
    files.write('database-url', 'postgres');
    await endSessions(outbox);
    const ended = await waitFor('a session that finds half a file', () =>
      daemon.log.slice(lines).find(({ err }) => err?.code === 'SECRET_UNREADABLE'),
    );
    expect(ended.err?.message).toContain(`DATABASE_URL_FILE (${whole})`);
    files.write('database-url', url.href);
    await daemon.waitForLog('streaming', { since: lines });
    lines = daemon.log.length;

    files.write('own.key', 'half a key');
    await endSessions(outbox);
    await waitFor('a session that finds half a key', () =>
      daemon.log.slice(lines).find(({ err }) => err?.code === 'SECRET_UNREADABLE'),
    );
    files.adopt('own', first);
    await daemon.waitForLog('streaming', { since: lines });

    await servePostgres(server, goodFiles());
    await outbox.insert();
    await outbox.waitUntilConfirmed();
    expect(await expectExact(outbox, oracle)).toBe(5);
    expect((await daemon.stop()).exitCode).toBe(0);
    expect(daemon.stderr).not.toContain('rotated');
  });

  test('files that are no certificates stop a start at once, with their names', async () => {
    await using outbox = await createTlsOutbox();
    using files = new Certificates('Files');
    const empty = files.write('empty.crt', '');
    const refusal = await refusedRun(outbox, {
      WALRELAY_POSTGRES_CA_FILE: empty,
      WALRELAY_START_TIMEOUT_MS: '1',
    });
    expect(refusal).toMatchObject({ code: 'SECRET_UNREADABLE', exitCode: 69 });
    expect(refusal.message).toContain(empty);
  });
});

/** As an operator does who wants every client to log in again. */
async function endSessions(outbox: Outbox): Promise<void> {
  await outbox.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'walrelay%'`,
    [outbox.name],
  );
}

test('a log-in is bound to its connection: a man in the middle, with a certificate that is trusted, gets none', async () => {
  await using outbox = await createTlsOutbox();
  await using impostor = await TlsImpostor.start(
    server.port,
    certificates.issue('impostor', { name: '127.0.0.1' }),
  );
  const url = impostor.url(outbox.databaseUrl);
  const refusal = await refusedRun(outbox, { ...verified(), DATABASE_URL: url });
  expect(refusal).toMatchObject({ code: 'PG_AUTH', exitCode: 65 });
  expect(refusal.message).toContain('channel binding');
  // A proxy that is meant to be there.
  await expectRelays(outbox, {
    ...verified(),
    DATABASE_URL: withParameters(url, { channel_binding: 'disable' }),
  });
});
