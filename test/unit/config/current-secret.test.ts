import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clientConfig } from '../../../src/config/client-config.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { redisTarget } from '../../../src/config/redis-target.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'walrelay-secrets-'));
});

afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** Settings that were loaded while the files were whole. */
function loaded(env: Record<string, string> = {}): Settings {
  put('pg', 'postgres://me:old@db/shop\n');
  put('redis', 'rediss://me:old@cache');
  return loadSettings({
    env: { DATABASE_URL_FILE: join(dir, 'pg'), REDIS_URL_FILE: join(dir, 'redis'), ...env },
    flags: {},
    readFile: (path) => readFileSync(path, 'utf8'),
  });
}

function put(file: string, text: string): string {
  const path = join(dir, file);
  writeFileSync(path, text);
  return path;
}

function unreadable(work: () => unknown): WalrelayError {
  try {
    work();
  } catch (error) {
    if (error instanceof WalrelayError && error.code === 'SECRET_UNREADABLE') return error;
    throw error;
  }
  throw new Error('it was read');
}

test('each connection takes what the files say by then', () => {
  const settings = loaded();
  put('pg', 'postgres://me:new@db/shop');
  put('redis', 'rediss://me:new@elsewhere:7000\r\n');
  expect(clientConfig(settings, 'x').connectionString).toBe('postgres://me:new@db/shop');
  expect(redisTarget(settings)).toMatchObject({
    url: 'rediss://me:new@elsewhere:7000',
    seeds: [{ host: 'elsewhere', port: 7000 }],
  });
  // What was logged at the start stays what it was.
  expect(settings.databaseUrl).toBe('postgres://me:old@db/shop');
});

test('what came from the environment stays what it was', () => {
  const settings = loaded({ DATABASE_URL: 'postgres://env@db/shop', DATABASE_URL_FILE: '' });
  put('pg', 'postgres://me:new@db/shop');
  expect(clientConfig(settings, 'x').connectionString).toBe('postgres://env@db/shop');
});

describe('a file that can’t be used', () => {
  test.each([undefined, '', 'postgr', 'hunter2', 'postgres://me:hunter2@db/shop?sslmode=nonsense'])(
    'such as one that holds %j ends the session, which is tried again; its text is not shown',
    (text) => {
      const settings = loaded();
      if (text === undefined) rmSync(join(dir, 'pg'));
      else put('pg', text);
      const error = unreadable(() => clientConfig(settings, 'x'));
      expect(error.disposition).toBe('retry');
      expect(error.message).toContain('DATABASE_URL_FILE');
      expect(`${error.message} ${error.hint}`).not.toContain('hunter2');
    },
  );

  test.each(['', 'hello', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])(
    'an authority of %j is none, where Node would fall back to the public ones or say nothing',
    (text) => {
      const settings = loaded({
        WALRELAY_POSTGRES_CA_FILE: join(dir, 'ca'),
        WALRELAY_REDIS_CA_FILE: join(dir, 'ca'),
      });
      put('ca', text);
      expect(unreadable(() => clientConfig(settings, 'x')).message).toContain(
        `WALRELAY_POSTGRES_CA_FILE: ${dir}/ca`,
      );
      expect(unreadable(() => redisTarget(settings)).message).toContain(`WALRELAY_REDIS_CA_FILE: ${dir}/ca`);
    },
  );

  test('a new URL that the settings don’t fit is no way back to plain text', () => {
    const settings = loaded({ WALRELAY_REDIS_CA_FILE: join(dir, 'ca') });
    put('redis', 'redis://cache');
    expect(unreadable(() => redisTarget(settings)).message).toContain('plain text');
  });
});

test('nothing that is said of TLS leaves the choice to the driver’s reading of the URL', () => {
  const settings = loaded();
  expect('ssl' in clientConfig(settings, 'x')).toBe(false);
  put('pg', 'postgres://db/shop?sslmode=require');
  expect(clientConfig(settings, 'x')).toMatchObject({
    connectionString: 'postgres://db/shop',
    ssl: { rejectUnauthorized: true },
    enableChannelBinding: true,
  });
  put('pg', 'postgres://db/shop?sslmode=disable');
  expect(clientConfig(settings, 'x')).toMatchObject({ ssl: false, enableChannelBinding: false });
});

test('settings may be copied to a worker', () => {
  const settings = loaded();
  expect(structuredClone(settings)).toEqual(settings);
});
