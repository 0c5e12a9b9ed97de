import { expect, test } from 'vitest';
import { freePort } from '../../dev/servers/free-port.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { expectRelays, refusedCommand, refusedRun } from '../support/setup-refusal.ts';
import { Role } from '../support/setup-role.ts';

/** Long enough for a second attempt, so that the exit is the start timeout's and not the first failure's. */
const START_TIMEOUT_MS = '300';

function urlWith(url: string, change: (url: URL) => void): string {
  const changed = new URL(url);
  change(changed);
  return changed.href;
}

test('a Postgres that does not answer ends a first start after the start timeout', async () => {
  await using outbox = await createOutbox();
  const port = await freePort();
  const env = {
    DATABASE_URL: urlWith(outbox.databaseUrl, (url) => (url.port = String(port))),
    WALRELAY_START_TIMEOUT_MS: START_TIMEOUT_MS,
  };
  const refusal = await refusedRun(outbox, env);
  expect(refusal).toMatchObject({ code: 'PG_UNREACHABLE', exitCode: 69 });
  expect(refusal.message).toContain(`ECONNREFUSED 127.0.0.1:${port}`);
  expect(refusal.hint).toContain('host and port of DATABASE_URL');
  expect(refusal.result.stderr).toContain('session ended; a new one follows');
  expect(await refusedCommand(['init'], { ...outbox.env, ...env })).toMatchObject({
    code: 'PG_UNREACHABLE',
    exitCode: 69,
  });
});

test('a host name that does not exist, or that answers on neither of its addresses, is named', async () => {
  await using outbox = await createOutbox();
  const start = { WALRELAY_START_TIMEOUT_MS: '1' };
  const unknown = urlWith(outbox.databaseUrl, (url) => (url.hostname = 'no-such-host.invalid'));
  const refusal = await refusedRun(outbox, { ...start, DATABASE_URL: unknown });
  expect(refusal).toMatchObject({ code: 'PG_UNREACHABLE', exitCode: 69 });
  expect(refusal.message).toContain('no-such-host.invalid');

  const port = String(await freePort());
  for (const [name, url] of [
    ['DATABASE_URL', outbox.databaseUrl],
    ['REDIS_URL', outbox.redisUrl],
  ] as const) {
    const wrong = urlWith(url, (changed) => {
      changed.hostname = 'localhost';
      changed.port = port;
    });
    const { message } = await refusedRun(outbox, { ...start, [name]: wrong });
    expect(message).toMatch(new RegExp(`ECONNREFUSED (127\\.0\\.0\\.1|::1):${port}`));
  }
});

test('a Redis that does not answer ends a first start after the start timeout', async () => {
  await using outbox = await createOutbox();
  const port = await freePort();
  const refusal = await refusedRun(outbox, {
    REDIS_URL: urlWith(outbox.redisUrl, (url) => (url.port = String(port))),
    WALRELAY_START_TIMEOUT_MS: START_TIMEOUT_MS,
  });
  expect(refusal).toMatchObject({ code: 'REDIS_UNREACHABLE', exitCode: 69 });
  expect(refusal.message).toContain(`ECONNREFUSED 127.0.0.1:${port}`);
  expect(refusal.hint).toContain('host and port of REDIS_URL');
});

test('a wrong password or an unknown user is refused by either server at once, and never shown', async () => {
  await using outbox = await createOutbox();
  const wrongPassword = (url: string) => urlWith(url, (changed) => (changed.password = 'Sesam%40öffne'));
  const wrongUser = (url: string) => urlWith(url, (changed) => (changed.username = 'nobody_here'));
  for (const wrong of [wrongPassword, wrongUser]) {
    const postgres = { DATABASE_URL: wrong(outbox.databaseUrl) };
    for (const refusal of await refusedBoth(outbox, postgres)) {
      expect(refusal).toMatchObject({ code: 'PG_AUTH', exitCode: 65 });
      expect(refusal.message).toContain('28P01');
      expect(refusal.hint).toContain('DATABASE_URL');
    }
    const redis = { REDIS_URL: wrong(outbox.redisUrl) };
    for (const refusal of await refusedBoth(outbox, redis)) {
      expect(refusal).toMatchObject({ code: 'REDIS_AUTH', exitCode: 66 });
      expect(refusal.message).toContain('WRONGPASS');
      expect(refusal.hint).toContain('REDIS_URL');
    }
  }
  const none = { REDIS_URL: urlWith(outbox.redisUrl, (url) => (url.password = '')) };
  const refusal = await refusedRun(outbox, none);
  expect(refusal).toMatchObject({ code: 'REDIS_AUTH', exitCode: 66 });
  expect(refusal.message).toContain('NOAUTH');
});

test('a database that does not exist is named', async () => {
  await using outbox = await createOutbox();
  const env = { DATABASE_URL: urlWith(outbox.databaseUrl, (url) => (url.pathname = '/no_such_db')) };
  for (const refusal of await refusedBoth(outbox, env)) {
    expect(refusal).toMatchObject({ code: 'PG_DATABASE_MISSING', exitCode: 65 });
    expect(refusal.message).toContain('database "no_such_db" does not exist');
    expect(refusal.hint).toContain('database name in DATABASE_URL');
  }
});

test('a Redis database number that does not exist is refused, not retried for ever', async () => {
  await using outbox = await createOutbox();
  const env = { REDIS_URL: urlWith(outbox.redisUrl, (url) => (url.pathname = '/99')) };
  const refusal = await refusedRun(outbox, env);
  expect(refusal).toMatchObject({ exitCode: 66 });
  expect(refusal.message).toContain('DB index is out of range');
  expect(refusal.hint).toContain('REDIS_URL');
});

test('a role without REPLICATION is refused until it has it', async () => {
  await using outbox = await createOutbox();
  await using role = await Role.create(outbox, 'LOGIN');
  const env = { DATABASE_URL: role.url };
  for (const refusal of await refusedBoth(outbox, env)) {
    expect(refusal).toMatchObject({ code: 'PG_PRIVILEGE', exitCode: 65 });
    expect(refusal.message).toMatch(/permission denied to start WAL sender|replication role/);
    expect(refusal.hint).toContain('ALTER ROLE … REPLICATION;');
  }
  await outbox.query(`ALTER ROLE ${role.name} REPLICATION`);
  await expectRelays(outbox, env);
});

test('a role that may not connect to the database, or not log in at all, is told which right it lacks', async () => {
  await using outbox = await createOutbox();
  await using role = await Role.create(outbox, 'LOGIN REPLICATION');
  const env = { DATABASE_URL: role.url };
  await outbox.query(`REVOKE CONNECT ON DATABASE ${outbox.name} FROM PUBLIC`);
  const connect = await refusedRun(outbox, env);
  expect(connect).toMatchObject({ code: 'PG_PRIVILEGE', exitCode: 65 });
  expect(connect.message).toContain(`permission denied for database "${outbox.name}"`);
  expect(connect.hint).toContain('GRANT CONNECT ON DATABASE');
  await outbox.query(`GRANT CONNECT ON DATABASE ${outbox.name} TO ${role.name}`);

  await outbox.query(`ALTER ROLE ${role.name} NOLOGIN`);
  const login = await refusedRun(outbox, env);
  expect(login).toMatchObject({ code: 'PG_AUTH', exitCode: 65 });
  expect(login.message).toContain('not permitted to log in');
  expect(login.hint).toContain('ALTER ROLE … LOGIN');
  await outbox.query(`ALTER ROLE ${role.name} LOGIN`);
  await expectRelays(outbox, env);
});

test('TLS that the server does not offer is refused; there is no way back to plain text', async () => {
  await using outbox = await createOutbox();
  const postgres = { DATABASE_URL: `${outbox.databaseUrl}?sslmode=verify-full` };
  for (const refusal of await refusedBoth(outbox, postgres)) {
    expect(refusal).toMatchObject({ code: 'PG_TLS', exitCode: 65 });
    expect(refusal.message).toContain('does not support SSL');
    expect(refusal.hint).toContain('sslmode');
  }
  const redis = { REDIS_URL: outbox.redisUrl.replace('redis://', 'rediss://') };
  const short = { WALRELAY_START_TIMEOUT_MS: '1', WALRELAY_REDIS_TIMEOUT_MS: '300' };
  const refusal = await refusedRun(outbox, { ...redis, ...short });
  expect(refusal).toMatchObject({ code: 'REDIS_UNREACHABLE', exitCode: 69 });
  expect(refusal.hint).toContain('rediss://');
});

async function refusedBoth(outbox: Outbox, env: Record<string, string>) {
  return [await refusedRun(outbox, env), await refusedCommand(['init'], { ...outbox.env, ...env })];
}
