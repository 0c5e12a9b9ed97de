import { z } from 'zod';
import { GiB, KiB, MiB } from './byte-size.ts';
import { checkTogether } from './check-together.ts';
import { CLEAN_UP_SETTINGS } from './clean-up-settings.ts';
import { postgresUrl, redisUrl } from './connection-url.ts';
import { FORMAT_KEYS, formatSettings } from './format-settings.ts';
import {
  byteSize,
  choice,
  countOrNone,
  columnList,
  columnOrNone,
  durability,
  hostPorts,
  identifier,
  messagePrefixOrNone,
  milliseconds,
  portOrOff,
  streamTemplate,
  tableName,
  text,
  wholeNumber,
} from './setting-kind.ts';
import type { NamedFile } from './secret-file.ts';
import { POISON_SETTINGS } from './poison-settings.ts';
import { POLLING_SETTINGS } from './polling-settings.ts';
import { PRESET_SETTING } from './preset-setting.ts';
import { dependentSetting, setting } from './setting-registry.ts';
import type { MessageOutboxSettings, TableOutbox } from './outbox-source.ts';
import { tlsSettings } from './tls-settings.ts';
import { TRIM_SETTINGS } from './trim-settings.ts';

const MINUTE_MS = 60_000;
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/**
 * The only list of settings. Environment, file, flags, help text and the README's table all derive from this schema
 * and from what the registry notes beside each of its fields.
 */
export const settingShape = {
  databaseUrl: setting(postgresUrl(), {
    group: 'connections',
    env: 'DATABASE_URL',
    isSecret: true,
    description: 'The Postgres database that holds the outbox; for `run`, a role with REPLICATION.',
  }),
  redisUrl: setting(redisUrl(), {
    group: 'connections',
    env: 'REDIS_URL',
    isSecret: true,
    description:
      'The Redis (6.2 or later) or Valkey that holds the streams; with sentinels or a cluster, one of their nodes.',
  }),
  redisMode: setting(choice(['standalone', 'sentinel', 'cluster']), {
    group: 'connections',
    default: 'standalone',
    description: 'What REDIS_URL names: a server, a sentinel, or a node of a cluster.',
  }),
  redisNodes: setting(hostPorts(), {
    group: 'connections',
    default: 'none',
    description: 'Further sentinels or cluster nodes, to be asked when the one of REDIS_URL is away.',
  }),
  redisSentinelMaster: setting(
    text('the name of a master', 'name', (name) => /^[\w.-]+$/.test(name)),
    {
      group: 'connections',
      default: 'mymaster',
      description: 'The name under which the sentinels know the master.',
    },
  ),
  redisSentinelPassword: setting(
    text('a password, or none', 'password', (password) => password !== ''),
    {
      group: 'connections',
      isSecret: true,
      default: 'none',
      description: 'The password of the sentinels themselves, when they have one.',
    },
  ),

  ...tlsSettings,

  ...PRESET_SETTING,
  table: setting(tableName(), {
    group: 'outbox',
    default: 'public.outbox',
    description: 'The outbox table. Without a schema: in public.',
  }),
  messagePrefix: setting(messagePrefixOrNone(), {
    group: 'outbox',
    default: 'none',
    description:
      'Instead of a table: events are transactional logical messages with this prefix (pg_logical_emit_message).',
  }),
  publication: setting(identifier(), {
    group: 'outbox',
    default: 'walrelay',
    description: 'The publication that covers the table.',
  }),
  slot: setting(
    text('1 to 63 of a-z, 0-9 and _', 'name', (name) => /^[a-z0-9_]{1,63}$/.test(name)),
    {
      group: 'outbox',
      default: 'walrelay',
      description: 'The replication slot: the one place where the position is kept.',
    },
  ),
  stream: setting(streamTemplate(), {
    group: 'outbox',
    default: 'outbox.${aggregatetype}',
    description: 'The stream of an event; ${column} stands for a value. In a shell, put it in single quotes.',
  }),
  partitions: setting(countOrNone({ min: 1, max: 1024 }), {
    group: 'outbox',
    default: 'none',
    description:
      'How many streams ${partition} in a stream stands for; an event goes to the one of its aggregate id. Changed only when ' +
      'everything is confirmed.',
  }),
  ...formatSettings,
  metaKey: dependentSetting(
    text('a Redis key', 'key', (key) => key !== ''),
    {
      group: 'outbox',
      default: 'walrelay:<slot>',
      description: 'The Redis hash that holds the watermark.',
    },
  ),

  columnId: setting(columnList(), {
    group: 'columns',
    default: 'id',
    description:
      'The column that identifies an event; several with commas between them are joined with colons.',
  }),
  columnAggregateType: setting(columnOrNone(), {
    group: 'columns',
    default: 'aggregatetype',
    description: 'The column with the kind of thing that the event is about; none if there is none.',
  }),
  columnAggregateId: setting(columnOrNone(), {
    group: 'columns',
    default: 'aggregateid',
    description: 'The column that names the thing itself; none if there is none.',
  }),
  columnType: setting(columnOrNone(), {
    group: 'columns',
    default: 'type',
    description: 'The column with the kind of event; none if there is none.',
  }),
  columnPayload: setting(columnOrNone(), {
    group: 'columns',
    default: 'payload',
    description: 'The column whose bytes are delivered; none if there is none.',
  }),
  columnTime: setting(columnOrNone(), {
    group: 'columns',
    default: 'created_at',
    description:
      'The column that says when a row was inserted, by the clock of Postgres; or none. For audit, replay and clean-up.',
  }),

  ...POLLING_SETTINGS,
  ...CLEAN_UP_SETTINGS,
  ...POISON_SETTINGS,
  ...TRIM_SETTINGS,

  httpHost: setting(
    text('a host name or an address', 'host', (host) => /^[A-Za-z0-9._:%-]+$/.test(host)),
    {
      group: 'http and logs',
      default: '127.0.0.1',
      description: 'The address of /metrics, /livez and /readyz. 0.0.0.0 opens them to other machines.',
    },
  ),
  httpPort: setting(portOrOff(), {
    group: 'http and logs',
    default: '9465',
    description: 'Their port. 0 takes any free port, off starts no HTTP server.',
  }),
  logLevel: setting(choice(LOG_LEVELS), {
    group: 'http and logs',
    default: 'info',
    description: `The least level that is logged: ${LOG_LEVELS.join(', ')}.`,
  }),

  batchEventsMax: setting(wholeNumber({ min: 1, max: 10_000 }), {
    group: 'limits',
    default: '512',
    description: 'Events in one batch to Redis.',
  }),
  batchBytesMax: setting(byteSize({ min: KiB, max: 64 * MiB }), {
    group: 'limits',
    default: '256KiB',
    description: 'Bytes in one batch to Redis; a larger event travels alone.',
  }),
  inFlightBatchesMax: setting(wholeNumber({ min: 1, max: 64 }), {
    group: 'limits',
    default: '4',
    description: 'Batches sent to Redis and not yet answered.',
  }),
  eventBytesMax: setting(byteSize({ min: KiB, max: 512 * MiB }), {
    group: 'limits',
    default: '16MiB',
    description: 'The largest event; the relay stops in front of a larger one.',
  }),
  streamsMax: setting(wholeNumber({ min: 0, max: 1_000_000 }), {
    group: 'limits',
    default: '10000',
    description:
      "Streams whose names `run` makes from data; an event that would make one more can't pass. 0 for no limit.",
  }),
  memoryBudgetBytes: setting(byteSize({ min: KiB, max: 64 * GiB }), {
    group: 'limits',
    default: '64MiB',
    description:
      'Bytes of events held in memory; at the budget, reading from Postgres pauses. At least 2 events of the ' +
      'largest size and all batches in flight.',
  }),
  walRetainedWarnBytes: setting(byteSize({ min: MiB, max: 1024 * 1024 * GiB }), {
    group: 'limits',
    default: '10GiB',
    description: 'The relay warns of more WAL kept for its slot, where no max_slot_wal_keep_size is set.',
  }),

  redisTimeoutMs: setting(milliseconds({ min: 100, max: 10 * MINUTE_MS }), {
    group: 'timing',
    default: '10000',
    description: 'An append unanswered for this long ends the session.',
  }),
  durability: setting(durability(), {
    group: 'connections',
    default: 'reply',
    description:
      'When an entry counts as safe: reply (Redis answered), fsync (on its disk; Redis 7.2 or later, Valkey) or ' +
      'replicas:N (on N replicas). Postgres keeps an event until then.',
  }),
  replayWindowMs: setting(milliseconds({ min: 0, max: 60 * MINUTE_MS }), {
    group: 'timing',
    default: '5000',
    description:
      'How long Postgres keeps an event after it is safe in Redis: a Redis that comes back without its last writes, ' +
      'up to this long, is refilled.',
  }),
  redisPersistence: setting(choice(['warn', 'require']), {
    group: 'connections',
    default: 'warn',
    description:
      'What to do about a Redis that keeps nothing on disk: warn, or require persistence and stop.',
  }),
  startTimeoutMs: setting(milliseconds({ min: 0, max: 60 * MINUTE_MS }), {
    group: 'timing',
    default: '60000',
    description:
      'How long a relay that has never streamed tries to reach its servers before it exits; 0 for ever.',
  }),
  drainTimeoutMs: setting(milliseconds({ min: 1, max: 10 * MINUTE_MS }), {
    group: 'timing',
    default: '5000',
    description: 'How long a stop waits for what is in flight.',
  }),
  backoffMinMs: setting(milliseconds({ min: 1, max: 10 * MINUTE_MS }), {
    group: 'timing',
    default: '100',
    description: 'The first pause before a new session; each further one doubles.',
  }),
  backoffMaxMs: setting(milliseconds({ min: 1, max: 10 * MINUTE_MS }), {
    group: 'timing',
    default: '10000',
    description: 'The longest pause before a new session.',
  }),
  statusIntervalMs: setting(milliseconds({ min: 100, max: 10 * MINUTE_MS }), {
    group: 'timing',
    default: '10000',
    description: 'How often Postgres hears from an idle relay.',
  }),
  serverSilenceMs: setting(milliseconds({ min: 1000, max: 60 * MINUTE_MS }), {
    group: 'timing',
    default: '30000',
    description: 'A Postgres silent for this long is a dead link: the session ends.',
  }),
  watchIntervalMs: setting(milliseconds({ min: 100, max: 10 * MINUTE_MS }), {
    group: 'timing',
    default: '1000',
    description: 'How often the catalog is checked; nothing is confirmed before the check that follows it.',
  }),
  walLookIntervalMs: setting(milliseconds({ min: 100, max: 60 * MINUTE_MS }), {
    group: 'timing',
    default: '10000',
    description: 'How often the WAL kept for the slot is measured, also while nothing streams.',
  }),
  auditIntervalMs: setting(milliseconds({ min: 0, max: 24 * 60 * MINUTE_MS }), {
    group: 'timing',
    default: '0',
    description:
      'How often `run` compares the newest rows of the table with the streams; 0 for never. Needs SELECT on the table.',
  }),
  auditRowsPerSecondMax: setting(wholeNumber({ min: 1, max: 10_000_000 }), {
    group: 'limits',
    default: '5000',
    description: 'How many rows, and entries, the audit of `run` reads a second.',
  }),
  standbyPollMs: setting(milliseconds({ min: 10, max: MINUTE_MS }), {
    group: 'timing',
    default: '20',
    description: 'How often a standby looks whether the slot is free.',
  }),
};

export type SettingKey = keyof typeof settingShape;

export type SettingValues = { readonly [Key in SettingKey]: z.output<(typeof settingShape)[Key]> };

export type CompleteValues = Omit<SettingValues, DependentKey> & {
  readonly [Key in DependentKey]: Exclude<SettingValues[Key], undefined>;
};

type DependentKey = 'metaKey' | 'deadLetterStream';

/** The secrets that a connection is made with: see currentSecret. */
export type SecretKey = 'databaseUrl' | 'redisUrl' | 'redisSentinelPassword';

/** The settings that each outbox has for itself: where the file lists several, these are the defaults of each. */
export const OUTBOX_KEYS = [
  'preset',
  'table',
  'messagePrefix',
  'stream',
  'partitions',
  'trimMaxLength',
  'cleanup',
  'cleanupRetentionMs',
  ...FORMAT_KEYS,
  'columnId',
  'columnAggregateType',
  'columnAggregateId',
  'columnType',
  'columnPayload',
  'columnTime',
] as const satisfies readonly SettingKey[];
export type OutboxKey = (typeof OUTBOX_KEYS)[number];

/** Of these the ones at the top are also about what no outbox names: streams of before. */
export const SHARED_KEYS = ['trimMaxLength'] as const satisfies readonly OutboxKey[];

/** One outbox: its part of the settings, whether it is the only one or an item of `outboxes`. */
export type OutboxSettings = TableOutbox | MessageOutboxSettings;

/** What every other part of Walrelay is given: complete, typed, deep-frozen; plain data, since a worker gets a copy. */
export type Settings = Omit<CompleteValues, Exclude<OutboxKey, (typeof SHARED_KEYS)[number]>> & {
  /** At least one. */
  readonly outboxes: readonly OutboxSettings[];
  /** Where those that were given as a file are read anew. */
  readonly secretFiles: { readonly [Key in SecretKey]?: NamedFile };
};

export const settingsSchema = z
  .object(settingShape)
  // Even when other fields were refused: an operator wants every problem in one go.
  .superRefine(checkTogether, { when: () => true })
  .transform((values): CompleteValues => {
    const metaKey = values.metaKey ?? `walrelay:${values.slot}`;
    const deadLetterStream = values.deadLetterStream ?? `${metaKey}:dead-letters`;
    return { ...values, metaKey, deadLetterStream };
  });
