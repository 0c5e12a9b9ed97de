import { expect, test } from 'vitest';
import { type DebeziumTuning, debeziumSettings } from '../../../../dev/bench/peers/debezium-settings.ts';

const PLACE = {
  databaseUrl: 'postgres://relay:p%40ss@db.example:6543/shop?sslmode=disable',
  redisUrl: 'redis://:s%2Fcret@cache.example:6380/3',
  name: 'run_1',
  table: { schema: 'run_1', name: 'out.box' },
  keyPrefix: 'run_1:a:',
  dir: '/tmp/run_1',
};

function settings(
  change: Partial<typeof PLACE> = {},
  tuning: DebeziumTuning = 'defaults',
): Record<string, string> {
  return debeziumSettings({ ...PLACE, ...change }, tuning);
}

test('both URLs come apart, decoded', () => {
  expect(settings()).toMatchObject({
    'debezium.source.database.hostname': 'db.example',
    'debezium.source.database.port': '6543',
    'debezium.source.database.user': 'relay',
    'debezium.source.database.password': 'p@ss',
    'debezium.source.database.dbname': 'shop',
    'debezium.source.database.sslmode': 'disable',
    'debezium.sink.redis.address': 'cache.example:6380',
    'debezium.sink.redis.password': 's/cret',
    'debezium.sink.redis.db.index': '3',
  });
});

test('what a URL leaves out is a usual default or absent', () => {
  const plain = settings({ databaseUrl: 'postgres://relay@[::1]', redisUrl: 'rediss://localhost' });
  expect(plain).toMatchObject({
    'debezium.source.database.hostname': '::1',
    'debezium.source.database.port': '5432',
    'debezium.source.database.dbname': 'relay',
    'debezium.sink.redis.address': 'localhost:6379',
    'debezium.sink.redis.ssl.enabled': 'true',
  });
  for (const absent of [
    'source.database.password',
    'source.database.sslmode',
    'sink.redis.password',
    'sink.redis.user',
  ]) {
    expect(plain).not.toHaveProperty([`debezium.${absent}`]);
  }
});

test('only the one table is read, whatever its name means as an expression', () => {
  expect(settings()['debezium.source.table.include.list']).toBe('run_1\\.out\\.box');
});

test('streams are called after the key prefix and the aggregate type', () => {
  expect(settings()['debezium.transforms.outbox.route.topic.replacement']).toBe('run_1:a:$1');
});

test('a key prefix that would be read as a replacement is refused', () => {
  expect(() => settings({ keyPrefix: 'run$1:' })).toThrow('key prefix');
});

test('it uses the slot and publication of the run and no other', () => {
  for (const tuning of ['defaults', 'low-latency'] as const) {
    expect(settings({}, tuning)).toMatchObject({
      'debezium.source.slot.name': 'run_1',
      'debezium.source.publication.name': 'run_1',
    });
  }
});

test('the defaults leave alone what low latency changes', () => {
  const tuned = settings({}, 'low-latency');
  expect(tuned).toMatchObject({
    'debezium.source.poll.interval.ms': '1',
    'debezium.source.publication.autocreate.mode': 'disabled',
    'debezium.sink.redis.message.format': 'extended',
  });
  const kept = [
    'source.poll.interval.ms',
    'source.offset.flush.interval.ms',
    'sink.redis.message.format',
    'format.value',
  ];
  for (const name of kept) expect(settings()).not.toHaveProperty([`debezium.${name}`]);
});
