import { expect, test } from 'vitest';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { thrownCode } from '../thrown-code.ts';

const load = (env: Record<string, string>, needsNoDatabase: boolean) =>
  loadSettings({
    env: { REDIS_URL: 'redis://redis/', ...env },
    flags: {},
    readFile: () => '',
    needsNoDatabase,
  });

test('a command that does not ask Postgres needs no DATABASE_URL; all others do', () => {
  expect(load({}, true).redisUrl).toBe('redis://redis/');
  // Whoever connects after all is told that there is no such host.
  expect(new URL(load({}, true).databaseUrl).hostname).toMatch(/\.invalid$/);
  expect(thrownCode(() => load({}, false))).toBe('CONFIG_INVALID');
});

test('one that is given all the same has to be right', () => {
  expect(thrownCode(() => load({ DATABASE_URL: 'nonsense' }, true))).toBe('CONFIG_INVALID');
  const url = 'postgres://db/orders';
  expect(load({ DATABASE_URL: url }, true).databaseUrl).toBe(url);
});
