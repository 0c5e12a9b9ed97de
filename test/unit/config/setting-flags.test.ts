import { Command } from 'commander';
import { expect, test } from 'vitest';
import { describeSettings } from '../../../src/config/describe-settings.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { settingFlags } from '../../../src/config/setting-flags.ts';

const readFile = () => '';

test('commander turns every flag back into the key of its setting', () => {
  const command = new Command();
  for (const { flags, description } of settingFlags()) command.option(flags, description);
  const attributes = command.options.map((option) => option.attributeName());
  expect(attributes).toEqual(
    ['config', ...describeSettings().map(({ key }) => key)].toSorted(inOrderOf(attributes)),
  );
  expect(new Set(attributes).size).toBe(attributes.length);
});

function inOrderOf(list: readonly string[]) {
  return (a: string, b: string) => list.indexOf(a) - list.indexOf(b);
}

test("a flag's help names the variable and the default", () => {
  const flag = settingFlags(['limits']).find(({ flags }) => flags === '--batch-events-max <number>');
  expect(flag?.description).toBe(
    'Events in one batch to Redis. [env WALRELAY_BATCH_EVENTS_MAX; default 512]',
  );
});

test('only the groups that a command uses', () => {
  expect(settingFlags(['connections']).map(({ flags }) => flags)).toEqual([
    '--config <path>',
    '--database-url <url>',
    '--redis-url <url>',
    '--redis-mode <name>',
    '--redis-nodes <host:port,…>',
    '--redis-sentinel-master <name>',
    '--redis-sentinel-password <password>',
    '--postgres-ca-file <path>',
    '--postgres-cert-file <path>',
    '--postgres-key-file <path>',
    '--redis-tls <name>',
    '--redis-ca-file <path>',
    '--redis-cert-file <path>',
    '--redis-key-file <path>',
    '--durability <level>',
    '--redis-persistence <warn|require>',
  ]);
});

test('every default that is described is one that its own setting accepts', () => {
  const env: Record<string, string> = { DATABASE_URL: 'postgres://db/x', REDIS_URL: 'redis://r' };
  for (const row of describeSettings()) {
    if (row.default !== undefined) env[row.env] = row.default;
  }
  const written = loadSettings({ env, flags: {}, readFile });
  const implied = loadSettings({
    env: { DATABASE_URL: env.DATABASE_URL, REDIS_URL: env.REDIS_URL },
    flags: {},
    readFile,
  });
  // What these are if nobody says so goes by others.
  const dependent = { metaKey: '', deadLetterStream: '', trimMaxAgeMs: 'off' };
  expect({ ...written, ...dependent }).toEqual({ ...implied, ...dependent });
});
