import { join } from 'node:path';
import type { BenchPlace } from '../../../src/bench/contestant.ts';

export type DebeziumTuning = 'defaults' | 'low-latency';

type SettingsPlace = Pick<BenchPlace, 'databaseUrl' | 'redisUrl' | 'name' | 'table' | 'keyPrefix' | 'dir'>;

/**
 * What `application.properties` says. Both tunings route through the outbox transformation, or their entries would
 * not land in the streams that are watched, and both read from the slot alone: the table is empty when the slot is made.
 *
 * https://debezium.io/documentation/reference/stable/operations/debezium-server.html
 */
export function debeziumSettings(place: SettingsPlace, tuning: DebeziumTuning): Record<string, string> {
  return {
    ...withPrefix('debezium.source.', {
      ...sourceSettings(place),
      ...(tuning === 'defaults' ? {} : LOW_LATENCY_SOURCE),
    }),
    ...withPrefix('debezium.sink.', {
      ...sinkSettings(place),
      ...(tuning === 'defaults' ? {} : LOW_LATENCY_SINK),
    }),
    'debezium.format.key.schemas.enable': 'false',
    'debezium.format.value.schemas.enable': 'false',
    ...(tuning === 'defaults' ? {} : PLAIN_PAYLOAD),
    ...outboxTransform(place.keyPrefix),
    // Its health endpoint would listen on port 8080 of every interface.
    'quarkus.http.host-enabled': 'false',
    'quarkus.banner.enabled': 'false',
    'quarkus.log.console.json': 'false',
  };
}

const LOW_LATENCY_SOURCE: Readonly<Record<string, string>> = {
  // How long it waits for a batch to fill, and how long it sleeps when the slot had nothing: 500 by default.
  'poll.interval.ms': '1',
  'max.batch.size': '4096',
  'max.queue.size': '16384',
  // The publication has been made, for inserts alone: it need not look after it.
  'publication.autocreate.mode': 'disabled',
  'heartbeat.interval.ms': '0',
  'provide.transaction.metadata': 'false',
  // What a crash repeats. Once a minute, the default, repeats the events of a minute; after every batch slows each one.
  'offset.flush.interval.ms': '1000',
};

const LOW_LATENCY_SINK: Readonly<Record<string, string>> = {
  'redis.message.format': 'extended',
  // Entries in one pipeline: 500 by default, with a PING before each.
  'redis.batch.size': '4096',
};

/** The payload as Postgres rendered it, in place of a JSON string of it. */
const PLAIN_PAYLOAD: Readonly<Record<string, string>> = {
  'debezium.format.key': 'simplestring',
  'debezium.format.value': 'simplestring',
};

/** Since the heap has a limit, the queue needs one in bytes too: 8192 events of 256 KB are 2 GB. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;

function sourceSettings({ databaseUrl, name, table, dir }: SettingsPlace): Record<string, string> {
  const url = new URL(databaseUrl);
  const user = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  const sslMode = url.searchParams.get('sslmode');
  return {
    'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
    'database.hostname': url.hostname.replace(/^\[|\]$/g, ''),
    'database.port': url.port === '' ? '5432' : url.port,
    'database.user': user,
    ...(password === '' ? {} : { 'database.password': password }),
    'database.dbname': decodeURIComponent(url.pathname.slice(1)) || user,
    ...(sslMode === null ? {} : { 'database.sslmode': sslMode }),
    'plugin.name': 'pgoutput',
    'slot.name': name,
    'publication.name': name,
    // Not its default: that publishes every table of the database, and with it forbids updates of tables without a key.
    'publication.autocreate.mode': 'filtered',
    'table.include.list': `${escapeRegex(table.schema)}\\.${escapeRegex(table.name)}`,
    'topic.prefix': name,
    'snapshot.mode': 'no_data',
    'max.queue.size.in.bytes': String(QUEUE_BYTES_MAX),
    'offset.storage.file.filename': join(dir, 'debezium-offsets.dat'),
  };
}

function sinkSettings({ redisUrl }: SettingsPlace): Record<string, string> {
  const url = new URL(redisUrl);
  const user = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  const database = url.pathname.slice(1);
  return {
    type: 'redis',
    'redis.address': `${url.hostname}:${url.port === '' ? '6379' : url.port}`,
    ...(user === '' ? {} : { 'redis.user': user }),
    ...(password === '' ? {} : { 'redis.password': password }),
    ...(database === '' ? {} : { 'redis.db.index': database }),
    ...(url.protocol === 'rediss:' ? { 'redis.ssl.enabled': 'true' } : {}),
  };
}

function outboxTransform(keyPrefix: string): Record<string, string> {
  // Escaped for the replacement, it would have to be escaped again for Quarkus, which undoes it half.
  if (/[\\$]/.test(keyPrefix))
    throw new Error(`a key prefix with $ or \\ is nothing for Debezium: ${keyPrefix}`);
  return withPrefix('debezium.transforms', {
    '': 'outbox',
    '.outbox.type': 'io.debezium.transforms.outbox.EventRouter',
    // The one group of the default expression; naming it in `${}` would be taken for a setting.
    '.outbox.route.topic.replacement': `${keyPrefix}$1`,
  });
}

function withPrefix(prefix: string, values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));
}

function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
