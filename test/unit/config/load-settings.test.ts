import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadSettings, type SettingSources } from '../../../src/config/load-settings.ts';
import { settingsForLog } from '../../../src/config/settings-for-log.ts';
import { type SettingKey, settingShape } from '../../../src/config/settings.ts';
import { trimAgeMs } from '../../../src/config/trim-settings.ts';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';

const DATABASE_URL = 'postgres://app:secret@db.internal:5432/orders';
const REDIS_URL = 'redis://:hunter2@redis.internal:6379/0';
const REQUIRED = { DATABASE_URL, REDIS_URL };

interface Given {
  env?: Record<string, string | undefined>;
  flags?: Record<string, unknown>;
  files?: Record<string, string>;
  configFile?: string;
}

function load({ env = {}, flags = {}, files = {}, configFile }: Given) {
  const readFile = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return text;
  };
  const sources: SettingSources = { env, flags, readFile };
  return loadSettings(configFile === undefined ? sources : { ...sources, configFile });
}

/** The lines of the refusal, without the heading. */
function problemsOf(given: Given): string[] {
  try {
    load(given);
    return [];
  } catch (error) {
    if (!(error instanceof WalrelayError) || error.code !== 'CONFIG_INVALID') throw error;
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
}

describe('what applies', () => {
  test('two URLs are enough, and everything else has its default', () => {
    expect(load({ env: REQUIRED })).toEqual({
      databaseUrl: DATABASE_URL,
      redisUrl: REDIS_URL,
      redisMode: 'standalone',
      redisNodes: [],
      redisSentinelMaster: 'mymaster',
      redisSentinelPassword: 'none',
      postgresCaFile: 'none',
      postgresCertFile: 'none',
      postgresKeyFile: 'none',
      redisTls: 'verify-full',
      redisCaFile: 'none',
      redisCertFile: 'none',
      redisKeyFile: 'none',
      secretFiles: {},
      durability: { level: 'reply' },
      publication: 'walrelay',
      slot: 'walrelay',
      metaKey: 'walrelay:walrelay',
      poison: 'halt',
      deadLetterStream: 'walrelay:walrelay:dead-letters',
      deadLettersMax: 100,
      deadLetterWindowMs: 60_000,
      outboxes: [
        {
          name: 'public.outbox',
          preset: null,
          place: null,
          table: { schema: 'public', name: 'outbox' },
          messagePrefix: null,
          stream: 'outbox.${aggregatetype}',
          columnId: ['id'],
          columnAggregateType: 'aggregatetype',
          columnAggregateId: 'aggregateid',
          columnType: 'type',
          columnPayload: 'payload',
          columnTime: 'created_at',
          fields: {},
          staticFields: {},
          partitions: null,
          trimMaxLength: 'off',
          cleanup: 'none',
          cleanupRetentionMs: 604_800_000,
          format: 'native',
          cloudEventsSource: 'auto',
          debeziumConverter: 'string',
          rawField: 'payload',
          routes: [],
        },
      ],
      pollIntervalMs: 1000,
      pollBatchEventsMax: 4096,
      pollWorkers: 1,
      pollOrderColumn: 'created_at',
      pollAfter: 'delete',
      pollMarkColumn: 'published_at',
      pollListenChannel: 'off',
      cleanupOlderRows: 'keep',
      cleanupIntervalMs: 10_000,
      cleanupBatchRowsMax: 1000,
      cleanupRowsPerSecondMax: 5000,
      cleanupPartitionsAhead: 3,
      trim: 'none',
      trimMaxLength: 'off',
      trimIgnoredGroups: [],
      trimIntervalMs: 60_000,
      trimHeldUpWarnMs: 3_600_000,
      httpHost: '127.0.0.1',
      httpPort: 9465,
      logLevel: 'info',
      batchEventsMax: 512,
      batchBytesMax: 262_144,
      inFlightBatchesMax: 4,
      streamsMax: 10_000,
      eventBytesMax: 16 * 1024 ** 2,
      memoryBudgetBytes: 64 * 1024 ** 2,
      redisTimeoutMs: 10_000,
      replayWindowMs: 5000,
      redisPersistence: 'warn',
      startTimeoutMs: 60_000,
      drainTimeoutMs: 5000,
      backoffMinMs: 100,
      backoffMaxMs: 10_000,
      statusIntervalMs: 10_000,
      serverSilenceMs: 30_000,
      walLookIntervalMs: 10_000,
      walRetainedWarnBytes: 10 * 1024 ** 3,
      watchIntervalMs: 1000,
      auditIntervalMs: 0,
      auditRowsPerSecondMax: 5000,
      standbyPollMs: 20,
    });
  });

  test('the settings are frozen through and through', () => {
    const settings = load({ env: REQUIRED });
    expect(Object.isFrozen(settings)).toBe(true);
    expect(Object.isFrozen(settings.outboxes[0]?.table)).toBe(true);
  });

  test('flags come before the environment, the environment before the file, the file before the default', () => {
    const source = fc.option(fc.integer({ min: 1, max: 10_000 }), { nil: undefined });
    fc.assert(
      fc.property(source, source, source, (flag, variable, key) => {
        const settings = load({
          env: { ...REQUIRED, WALRELAY_BATCH_EVENTS_MAX: variable?.toString() },
          flags: { batchEventsMax: flag?.toString() },
          files: { 'w.yaml': key === undefined ? '' : `batchEventsMax: ${key}` },
          configFile: 'w.yaml',
        });
        expect(settings.batchEventsMax).toBe(flag ?? variable ?? key ?? 512);
      }),
    );
  });

  test('an empty variable counts as unset', () => {
    expect(
      load({ env: { ...REQUIRED, WALRELAY_SLOT: '', WALRELAY_CONFIG: '', DATABASE_URL_FILE: '' } }).slot,
    ).toBe('walrelay');
  });

  test('the key of the lane state follows the slot unless it is set', () => {
    expect(load({ env: { ...REQUIRED, WALRELAY_SLOT: 'orders' } }).metaKey).toBe('walrelay:orders');
    expect(load({ env: { ...REQUIRED, WALRELAY_SLOT: 'orders', WALRELAY_META_KEY: 'm' } }).metaKey).toBe('m');
  });

  test('a secret can come from a file, whose last newline is not part of it', () => {
    const settings = load({
      env: { REDIS_URL, DATABASE_URL_FILE: '/run/db' },
      files: { '/run/db': `${DATABASE_URL}\n` },
    });
    expect(settings.databaseUrl).toBe(DATABASE_URL);
  });

  test('a flag outdoes a secret file', () => {
    const env = { REDIS_URL, DATABASE_URL_FILE: '/run/missing' };
    expect(load({ env, flags: { databaseUrl: DATABASE_URL } }).databaseUrl).toBe(DATABASE_URL);
  });

  test('the file may hold numbers, sizes and quoted names', () => {
    const yaml =
      'httpPort: off\neventBytesMax: 1048576\nbatchBytesMax: 512kB\ntable: \'"My Schema"."Out Box"\'\nslot:\n';
    const settings = load({ env: { ...REQUIRED, WALRELAY_CONFIG: 'w.yaml' }, files: { 'w.yaml': yaml } });
    expect(settings).toMatchObject({
      httpPort: 'off',
      eventBytesMax: 1_048_576,
      batchBytesMax: 512_000,
      outboxes: [{ table: { schema: 'My Schema', name: 'Out Box' }, name: '"My Schema"."Out Box"' }],
      slot: 'walrelay',
    });
  });

  test('what is acknowledged is kept for an hour, unless an age or a length is set', () => {
    const trim = (env: Record<string, string>) => {
      const settings = load({ env: { ...REQUIRED, ...env } });
      return trimAgeMs(settings, settings.trimMaxLength);
    };
    expect(trim({ WALRELAY_TRIM: 'safe' })).toBe(3_600_000);
    expect(trim({ WALRELAY_TRIM: 'safe', WALRELAY_TRIM_MAX_LENGTH: '10' })).toBe('off');
    expect(trim({ WALRELAY_TRIM: 'safe', WALRELAY_TRIM_MAX_AGE_MS: '0' })).toBe(0);
    expect(trim({ WALRELAY_TRIM: 'even-unread', WALRELAY_TRIM_MAX_LENGTH: '10' })).toBe('off');
    expect(load({ env: { ...REQUIRED, WALRELAY_TRIM_IGNORED_GROUPS: 'a, b' } }).trimIgnoredGroups).toEqual([
      'a',
      'b',
    ]);
  });

  test('options that are no settings are left alone', () => {
    expect(load({ env: REQUIRED, flags: { json: true } }).slot).toBe('walrelay');
  });
});

describe('what is refused', () => {
  test('every problem is reported at once, each on a line with its origin', () => {
    const lines = problemsOf({
      env: {
        REDIS_URL: 'http://u:topsecret@x',
        WALRELAY_SLOT: 'My-Slot',
        WALRELAY_SLOTT: 'x',
        WALRELAY_CONFIG: 'w.yaml',
      },
      flags: { httpPort: '99999' },
      files: { 'w.yaml': 'batchEventsMax: many\npublicaton: x\nbackoffMinMs: 20000\n' },
    });
    expect(lines).toEqual([
      'w.yaml: publicaton: unknown key; did you mean publication?',
      'WALRELAY_SLOTT: unknown variable; did you mean WALRELAY_SLOT?',
      expect.stringMatching(
        /^DATABASE_URL: not set \(nor DATABASE_URL_FILE, --database-url, databaseUrl in the file\)/,
      ),
      expect.stringMatching(/^REDIS_URL: the value given \(not shown\) is refused; .*begin with redis:/),
      'WALRELAY_SLOT: got "My-Slot"; expected 1 to 63 of a-z, 0-9 and _',
      '--http-port: got "99999"; expected a port from 0 to 65535 (0: any free one), or off',
      'w.yaml: batchEventsMax: got "many"; expected a whole number from 1 to 10000',
      "WALRELAY_BACKOFF_MAX_MS: the default 10000 doesn't fit; expected at least backoffMinMs, which is 20000",
    ]);
    expect(lines.join()).not.toContain('topsecret');
  });

  const faults: Record<string, Record<string, string>> = {
    'WALRELAY_TABLE: got "a.b.c"': { WALRELAY_TABLE: 'a.b.c' },
    'WALRELAY_TABLE: got "public.Outbox"': { WALRELAY_TABLE: 'public.Outbox' },
    'WALRELAY_STREAM: got "outbox.${"': { WALRELAY_STREAM: 'outbox.${' },
    'WALRELAY_STREAM: got "outbox.${}"': { WALRELAY_STREAM: 'outbox.${}' },
    'WALRELAY_HTTP_PORT: got "0x10"': { WALRELAY_HTTP_PORT: '0x10' },
    'WALRELAY_LOG_LEVEL: got "verbose"': { WALRELAY_LOG_LEVEL: 'verbose' },
    'WALRELAY_IN_FLIGHT_BATCHES_MAX: got "65"': { WALRELAY_IN_FLIGHT_BATCHES_MAX: '65' },
    'WALRELAY_BATCH_BYTES_MAX: got "1kB"': { WALRELAY_BATCH_BYTES_MAX: '1kB' },
    'WALRELAY_EVENT_BYTES_MAX: got "16 mib"': { WALRELAY_EVENT_BYTES_MAX: '16 mib' },
    'WALRELAY_REDIS_PERSISTENCE: got "ignore"': { WALRELAY_REDIS_PERSISTENCE: 'ignore' },
    'WALRELAY_PUBLICATION: got "ö': { WALRELAY_PUBLICATION: 'ö'.repeat(32) },
    'WALRELAY_POLL_MARK_COLUMN: got "id"; expected a column of its own; columnId names this one too': {
      WALRELAY_POLL_AFTER: 'mark',
      WALRELAY_POLL_MARK_COLUMN: 'id',
    },
    'WALRELAY_POLL_MARK_COLUMN: got "at"; expected a column of its own; pollOrderColumn names this one too': {
      WALRELAY_POLL_AFTER: 'mark',
      WALRELAY_POLL_MARK_COLUMN: 'at',
      WALRELAY_POLL_ORDER_COLUMN: 'at',
    },
    'WALRELAY_COLUMN_ID: got "id,id"; expected a name of 1 to 63 bytes': { WALRELAY_COLUMN_ID: 'id,id' },
    'WALRELAY_EVENT_BYTES_MAX_: unknown': { WALRELAY_EVENT_BYTES_MAX_: '1' },
    'WALRELAY_DATABASE_URL: unknown variable; did you mean DATABASE_URL?': {
      WALRELAY_DATABASE_URL: DATABASE_URL,
    },
    'WALRELAY_BATCH_MAX_EVENTS: unknown variable; did you mean WALRELAY_BATCH_EVENTS_MAX?': {
      WALRELAY_BATCH_MAX_EVENTS: '1',
    },
    'REDIS_URL: REDIS_URL_FILE is set too; expected only one': { REDIS_URL_FILE: '/run/redis' },
  };
  test.each(Object.entries(faults))('%s', (expected, env) => {
    const lines = problemsOf({ env: { ...REQUIRED, ...env } });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(expected);
  });

  test('trimming what nobody has read takes a length or an age to go by', () => {
    const problems = (env: Record<string, string>) =>
      problemsOf({ env: { ...REQUIRED, WALRELAY_TRIM: 'even-unread', ...env } });
    expect(problems({}).join()).toContain('it would have nothing to go by');
    expect(problems({ WALRELAY_TRIM_MAX_AGE_MS: '0' }).join()).toContain('at least 1');
    expect(problems({ WALRELAY_TRIM_MAX_LENGTH: 'x' }).join()).toMatch(/a whole number .*, or off/);
    expect(
      problems({ WALRELAY_TRIM_MAX_LENGTH: '5', WALRELAY_TRIM_IGNORED_GROUPS: 'a,,b' }).join(),
    ).toContain('a name, several with commas between them');
  });

  test('a memory budget below what the batches and two events need is refused with the sum', () => {
    const env = { ...REQUIRED, WALRELAY_EVENT_BYTES_MAX: '40MiB' };
    expect(problemsOf({ env })).toEqual([
      "WALRELAY_MEMORY_BUDGET_BYTES: the default 64MiB doesn't fit; expected at least 81MiB: 2 x eventBytesMax " +
        '(40MiB; one read while another is sent) + inFlightBatchesMax (4) x batchBytesMax (256KiB)',
    ]);
  });

  test('a clean-up that would take rows away before they are audited, or has no time to partition by', () => {
    const rounds = { ...REQUIRED, WALRELAY_AUDIT_INTERVAL_MS: '1000', WALRELAY_CLEANUP: 'delete' };
    expect(problemsOf({ env: { ...rounds, WALRELAY_CLEANUP_RETENTION_MS: '2999' } })).toEqual([
      expect.stringContaining('at least 3 x auditIntervalMs (1000)'),
    ]);
    const partitions = { ...REQUIRED, WALRELAY_CLEANUP: 'partitions', WALRELAY_COLUMN_TIME: 'none' };
    expect(problemsOf({ env: partitions })).toEqual([
      expect.stringMatching(/^WALRELAY_COLUMN_TIME: .*partitioned by/),
    ]);
    // Without a clean-up nothing has to fit it.
    const fits = { ...rounds, WALRELAY_CLEANUP: 'none', WALRELAY_CLEANUP_RETENTION_MS: '0' };
    expect(loadSettings({ env: fits, flags: {}, readFile: () => '' }).outboxes[0]).toMatchObject({
      cleanupRetentionMs: 0,
    });
  });

  test('rules between settings are checked even while another setting is refused', () => {
    const env = {
      ...REQUIRED,
      WALRELAY_SLOT: '!',
      WALRELAY_BACKOFF_MIN_MS: '500',
      WALRELAY_BACKOFF_MAX_MS: '400',
    };
    expect(problemsOf({ env })).toHaveLength(2);
  });

  test('one problem for a file that is missing, not a second one for what it would have held', () => {
    expect(problemsOf({ flags: { config: 'nowhere.yaml' } })).toEqual([
      "--config: nowhere.yaml can't be read (ENOENT); expected a YAML file with settings",
    ]);
    expect(problemsOf({ env: { REDIS_URL, DATABASE_URL_FILE: '/run/db' } })).toEqual([
      "DATABASE_URL_FILE: /run/db can't be read (ENOENT); expected a file with the value",
    ]);
  });

  test('a YAML fault is named by its place and never quoted', () => {
    const yaml = 'slot: a\nredisUrl: "redis://:hunter2@x\n';
    const [line] = problemsOf({ env: REQUIRED, configFile: 'w.yaml', files: { 'w.yaml': yaml } });
    expect(line).toMatch(/^w\.yaml: not valid YAML, line \d+, column \d+: [A-Z_]+$/);
  });

  test.each(['- slot', 'just text', '7'])('a file that is no map: %s', (yaml) => {
    expect(problemsOf({ env: REQUIRED, configFile: 'w.yaml', files: { 'w.yaml': yaml } })).toEqual([
      'w.yaml: expected lines like "slot: walrelay"',
    ]);
  });

  test('keys of Object.prototype in the file are unknown keys like others', () => {
    const files = { 'w.yaml': '__proto__: 1\nconstructor: 2\n' };
    expect(problemsOf({ env: REQUIRED, configFile: 'w.yaml', files })).toHaveLength(2);
  });

  test('a line that lost its key is not repeated', () => {
    const files = { 'w.yaml': '"redis://:hunter2@x": 1\n' };
    expect(problemsOf({ env: REQUIRED, configFile: 'w.yaml', files })).toEqual(['w.yaml: unknown key']);
  });

  test('a nested value is refused without being shown', () => {
    const files = { 'w.yaml': 'slot: { name: x }\n' };
    expect(problemsOf({ env: REQUIRED, configFile: 'w.yaml', files })).toEqual([
      'w.yaml: slot: got a map; expected 1 to 63 of a-z, 0-9 and _',
    ]);
  });

  test("Kubernetes's service links of a Service named walrelay are not taken for mistakes", () => {
    const env = {
      WALRELAY_SERVICE_HOST: '10.0.0.1',
      WALRELAY_SERVICE_PORT: '9465',
      WALRELAY_SERVICE_PORT_HTTP: '9465',
      WALRELAY_PORT: 'tcp://10.0.0.1:9465',
      WALRELAY_PORT_9465_TCP: 'tcp://10.0.0.1:9465',
      WALRELAY_PORT_9465_TCP_ADDR: '10.0.0.1',
    };
    expect(problemsOf({ env: { ...REQUIRED, ...env } })).toEqual([]);
  });

  test('as many lines as mistakes, whichever they are', () => {
    const mistakes = {
      WALRELAY_SLOT: 'A',
      WALRELAY_HTTP_PORT: '-1',
      WALRELAY_LOG_LEVEL: 'loud',
      WALRELAY_BATCH_EVENTS_MAX: '0',
      WALRELAY_STREAM: '${',
      WALRELAY_NO_SUCH_THING: '1',
      REDIS_URL: 'nonsense',
    };
    fc.assert(
      fc.property(fc.subarray(Object.entries(mistakes)), (chosen) => {
        expect(problemsOf({ env: { ...REQUIRED, ...Object.fromEntries(chosen) } })).toHaveLength(
          chosen.length,
        );
      }),
    );
  });

  test('no refusal repeats a secret, whatever it is', () => {
    const secret = fc.string({ minLength: 6, unit: 'grapheme' }).filter((text) => text.trim() === text);
    fc.assert(
      fc.property(secret, (text) => {
        const marked = `<${text}>`;
        const env = { DATABASE_URL: `mysql://u:${marked}@h/d`, REDIS_URL: marked, WALRELAY_REDISURL: marked };
        const lines = problemsOf({ env });
        expect(lines).toHaveLength(3);
        expect(lines.join('\n')).not.toContain(marked);
      }),
    );
  });
});

test('the settings as logged hold no password', () => {
  const logged = settingsForLog(load({ env: REQUIRED }), Object.keys(settingShape) as SettingKey[]);
  expect(logged).toMatchObject({
    database: 'postgres://app:***@db.internal:5432/orders',
    redis: 'redis://:***@redis.internal:6379/0',
    table: 'public.outbox',
  });
  expect(JSON.stringify(logged)).not.toMatch(/secret|hunter2/);
});

test('the settings as logged are those of the command, without those that mean nothing to it', () => {
  expect(settingsForLog(load({ env: REQUIRED }), ['databaseUrl', 'table', 'pollWorkers'])).toEqual({
    database: 'postgres://app:***@db.internal:5432/orders',
    redis: 'redis://:***@redis.internal:6379/0',
    table: 'public.outbox',
    pollWorkers: 1,
  });
});
