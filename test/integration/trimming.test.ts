import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startCluster } from '../../dev/servers/redis-cluster.ts';
import { startRedis } from '../../dev/servers/redis.ts';
import { audit } from '../support/audit-cli.ts';
import { readMetric } from '../support/chaos-links.ts';
import type { Env } from '../support/cli.ts';
import { ClusterStreams, createClusterOutbox } from '../support/cluster-outbox.ts';
import type { Outbox } from '../support/outbox.ts';
import { RedisUser } from '../support/redis-user.ts';
import { createOutbox } from '../support/servers.ts';
import { readGroup } from '../support/trim-server.ts';
import { waitFor } from '../support/wait-for.ts';

const SAFE: Env = {
  WALRELAY_TRIM: 'safe',
  WALRELAY_TRIM_MAX_AGE_MS: '0',
  WALRELAY_TRIM_INTERVAL_MS: '100',
};
/** Nodes of a stream hold a hundred entries, and are trimmed whole. */
const MANY = 500;

async function insertMany(outbox: Outbox, count: number, aggregateType = 'order'): Promise<void> {
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT $2, n::text, 'created', '{}' FROM generate_series(1, $1::int) n`,
    [count, aggregateType],
  );
}

async function readAndAcknowledge(outbox: Outbox, stream: string, group: string): Promise<string[]> {
  const ids = await readGroup(outbox.redis, stream, group, 10_000, 'c');
  if (ids.length > 0) await outbox.redis.xack(stream, group, ...ids);
  return ids;
}

async function waitForLengthBelow(outbox: Outbox, stream: string, length: number): Promise<void> {
  await waitFor(
    `less than ${length} entries in ${stream}`,
    async () => (await outbox.redis.xlen(stream)) < length,
  );
}

describe('safe', () => {
  test('goes as far as the slowest group, also after a restart, and says so', async () => {
    await using outbox = await createOutbox({ env: SAFE });
    const stream = outbox.stream();
    const first = outbox.start();
    await first.streaming();
    await insertMany(outbox, MANY);
    await outbox.waitForLength(stream, MANY);
    await outbox.redis.xgroup('CREATE', stream, 'fast', '0');
    await outbox.redis.xgroup('CREATE', stream, 'slow', '0');
    await readAndAcknowledge(outbox, stream, 'fast');
    const held = await readGroup(outbox.redis, stream, 'slow', MANY, 'c');
    const [oldest, ...rest] = held.slice(250);
    await outbox.redis.xack(stream, 'slow', ...held.slice(0, 250), ...rest);
    await waitForLengthBelow(outbox, stream, 400);
    expect((await outbox.redis.xrange(stream, oldest as string, oldest as string)).length).toBe(1);
    expect(await outbox.redis.xlen(stream)).toBeGreaterThanOrEqual(250);
    await first.waitForLog('trimmed');
    expect(await readMetric(first, 'walrelay_trimmed_entries_total')).toBeGreaterThan(100);
    expect((await first.stop()).exitCode).toBe(0);

    // Nothing is written to the stream any more: the register knows it.
    const second = outbox.start();
    await second.streaming();
    await outbox.redis.xack(stream, 'slow', oldest as string);
    await waitForLengthBelow(outbox, stream, 101);
    const { exitCode, report } = await audit(outbox);
    expect({ exitCode, findings: report.findings }).toMatchObject({ exitCode: 0, findings: { missing: 0 } });
    expect(report.rows).toBe(MANY);
  });

  test('a group that holds everything up is told by log and metrics; ignored, it does not any more', async () => {
    await using outbox = await createOutbox({ env: { ...SAFE, WALRELAY_TRIM_HELD_UP_WARN_MS: '1000' } });
    const stream = outbox.stream();
    const first = outbox.start();
    await first.streaming();
    await insertMany(outbox, MANY);
    await outbox.waitForLength(stream, MANY);
    const silent = await first.waitForLog('streams without a consumer group that counts are not trimmed');
    expect(silent).toMatchObject({ level: 'info', streams: [stream] });
    await outbox.redis.xgroup('CREATE', stream, 'live', '$');
    await outbox.redis.xgroup('CREATE', stream, 'abandoned', '0');
    const line = await first.waitForLog('consumer groups hold up the trimming');
    expect(line).toMatchObject({
      level: 'warn',
      count: 1,
      heldUp: [{ stream, group: 'abandoned', pending: 0, lag: MANY, entries: MANY }],
    });
    const page = await (await fetch(`${await first.httpUrl()}/metrics`)).text();
    expect(page).toMatch(/^walrelay_trim_slowest_group_seconds\{group="abandoned"\} \d/m);
    expect(page).toMatch(/^walrelay_trim_streams_held_up 1$/m);
    expect(await outbox.redis.xlen(stream)).toBe(MANY);
    await first.stop();

    outbox.start({ WALRELAY_TRIM_IGNORED_GROUPS: 'abandoned' });
    await waitForLengthBelow(outbox, stream, 101);
  });

  test('by default an hour is kept', async () => {
    await using outbox = await createOutbox({
      env: { WALRELAY_TRIM: 'safe', WALRELAY_TRIM_INTERVAL_MS: '100' },
    });
    const daemon = outbox.start();
    await daemon.streaming();
    await insertMany(outbox, MANY);
    await outbox.waitForLength(outbox.stream(), MANY);
    await outbox.redis.xgroup('CREATE', outbox.stream(), 'g', '$');
    const rounds = () => readMetric(daemon, 'walrelay_trim_last_timestamp_seconds').catch(() => 0);
    const before = await rounds();
    await waitFor('another round', async () => (await rounds()) > before);
    expect(await outbox.redis.xlen(outbox.stream())).toBe(MANY);
  });
});

test('a Redis that is full is helped by trimming, also while no session lasts', async () => {
  await using redis = await startRedis();
  await using outbox = await createOutbox({ redisUrl: redis.url, isRedisOwn: true, env: SAFE });
  const stream = outbox.stream();
  await outbox.redis.xgroup('CREATE', stream, 'g', '0', 'MKSTREAM');
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT 'order', n::text, 'created', jsonb_build_object('x', repeat('x', 4000)) FROM generate_series(1, 3000) n`,
  );
  await outbox.waitForLength(stream, 3000);
  const [, used] = /used_memory:(\d+)/.exec(await outbox.redis.info('memory')) ?? ['', '0'];
  await outbox.redis.config('SET', 'maxmemory', String(Number(used) - 2_000_000));
  await outbox.insert();
  await waitFor('the refusal', () => daemon.log.some((line) => line.err?.code === 'REDIS_FULL'));
  // It reads and acknowledges as it can; nothing can be written before the trimming has made room.
  await readAndAcknowledge(outbox, stream, 'g');
  await waitFor(
    'the event that was refused',
    async () => (await readAndAcknowledge(outbox, stream, 'g')).length > 0,
  );
  expect((await daemon.stop()).exitCode).toBe(0);
});

test('even-unread: what nobody has read goes too, and only then', async () => {
  await using outbox = await createOutbox({ env: { WALRELAY_TRIM_INTERVAL_MS: '100' } });
  const stream = outbox.stream();
  const daemon = outbox.start({ WALRELAY_TRIM: 'even-unread', WALRELAY_TRIM_MAX_LENGTH: '150' });
  await daemon.streaming();
  await insertMany(outbox, MANY);
  await waitFor('the stream to be trimmed', async () => {
    const length = await outbox.redis.xlen(stream);
    return length >= 150 && length < 260;
  });
  const { exitCode } = await audit(outbox);
  expect(exitCode).toBe(0);
});

test('routes and outboxes have lengths of their own, also for streams of before a restart', async () => {
  await using outbox = await createOutbox({ env: { WALRELAY_TRIM_INTERVAL_MS: '100' } });
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-trimming-')), 'walrelay.yaml');
  const config = (beats: number) => `
trim: even-unread
outboxes:
  - table: outbox
    stream: '${outbox.name}.\${aggregatetype}'
    trimMaxLength: 300
    routes:
      - { when: { aggregatetype: beat }, trimMaxLength: ${beats} }
      - { when: { aggregatetype: ledger }, stream: ${outbox.name}.books, trimMaxLength: off }
`;
  writeFileSync(path, config(110));
  const first = outbox.start({ WALRELAY_CONFIG: path });
  await first.streaming();
  for (const kind of ['order', 'beat', 'ledger']) await insertMany(outbox, MANY, kind);
  const isKept = async (kind: string, least: number) => {
    const length = await outbox.redis.xlen(outbox.stream(kind));
    return length >= least && length < least + 100;
  };
  await waitFor(
    'the streams to be trimmed',
    async () => (await isKept('order', 300)) && (await isKept('beat', 110)),
  );
  expect(await outbox.redis.xlen(outbox.stream('books'))).toBe(MANY);
  expect((await first.stop()).exitCode).toBe(0);

  // No event comes: what the settings say now is true of what stands.
  writeFileSync(path, config(1));
  const second = outbox.start({ WALRELAY_CONFIG: path });
  await waitFor('the beats to be trimmed', async () => await isKept('beat', 1));
  await insertMany(outbox, MANY, 'beat');
  await waitFor('the beats to be trimmed again', async () => await isKept('beat', 1));
  expect(await isKept('order', 300)).toBe(true);
  expect(await outbox.redis.xlen(outbox.stream('books'))).toBe(MANY);
  expect((await second.stop()).exitCode).toBe(0);
});

test('a length that another route overrules, and one without a trimming, are told', async () => {
  await using outbox = await createOutbox();
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-trimming-')), 'walrelay.yaml');
  writeFileSync(
    path,
    `stream: '${outbox.name}.\${aggregatetype}'\nroutes: [{ when: { type: beat }, stream: ${outbox.name}.beat, trimMaxLength: 10 }]\n`,
  );
  const safe = outbox.start({ WALRELAY_CONFIG: path, WALRELAY_TRIM: 'safe' });
  const told = await safe.waitForLog(
    'a trimMaxLength does not apply: another route may name the stream too, and keeps more',
  );
  expect(told).toMatchObject({
    streams: [{ stream: `${outbox.name}.beat`, trimMaxLength: 10, applied: 'off' }],
  });
  expect((await safe.stop()).exitCode).toBe(0);
  const none = outbox.start({ WALRELAY_CONFIG: path });
  await none.waitForLog('a trimMaxLength is set, and nothing is trimmed: WALRELAY_TRIM is none');
  expect((await none.stop()).exitCode).toBe(0);
});

test('nothing is trimmed, and nothing registered, unless asked', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start({ WALRELAY_TRIM_INTERVAL_MS: '100' });
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await outbox.waitUntilConfirmed();
  expect(await outbox.redis.exists(`${outbox.metaKey}:streams`)).toBe(0);
});

describe('the rights', () => {
  const RELAY = '+ping +info +hgetall +hget +hmget +hset +hincrby +xadd +eval +evalsha +script|load'.split(
    ' ',
  );
  const TRIM = '+xtrim +xlen +xrange +xpending +xinfo|stream +xinfo|groups +time +sadd +srem +sscan'.split(
    ' ',
  );
  const keysOf = (outbox: Outbox) => [`~${outbox.name}.*`, `~${outbox.metaKey}*`];

  test('that are documented are enough', async () => {
    await using outbox = await createOutbox({ env: SAFE });
    await using user = await RedisUser.create(outbox, ...keysOf(outbox), ...RELAY, ...TRIM);
    const daemon = outbox.start({ REDIS_URL: user.url });
    await daemon.streaming();
    await insertMany(outbox, MANY);
    await outbox.waitForLength(outbox.stream(), MANY);
    await outbox.redis.xgroup('CREATE', outbox.stream(), 'g', '$');
    await waitForLengthBelow(outbox, outbox.stream(), 101);
    // One that is gone is forgotten by the next session.
    await outbox.redis.sadd(`${outbox.metaKey}:streams`, outbox.stream('gone'));
    await waitFor('the stream to be forgotten', async () => {
      return (await outbox.redis.sismember(`${outbox.metaKey}:streams`, outbox.stream('gone'))) === 0;
    });
    expect(daemon.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  test.each(['+xtrim', '+xinfo|groups', '+sadd'])(
    'without %s the log names what to grant, and the relay goes on',
    async (rule) => {
      await using outbox = await createOutbox({ env: SAFE });
      const granted = [...RELAY, ...TRIM].filter((other) => other !== rule);
      await using user = await RedisUser.create(outbox, ...keysOf(outbox), ...granted);
      const daemon = outbox.start({ REDIS_URL: user.url });
      await daemon.streaming();
      await insertMany(outbox, MANY);
      await outbox.waitForLength(outbox.stream(), MANY);
      await outbox.redis.xgroup('CREATE', outbox.stream(), 'g', '0');
      await readAndAcknowledge(outbox, outbox.stream(), 'g');
      const line = await daemon.waitForLog('the streams could not be trimmed');
      expect(line).toMatchObject({ level: 'warn', code: 'REDIS_PRIVILEGE' });
      expect(line['hint']).toContain(rule);
      await outbox.insert();
      await outbox.waitForLength(outbox.stream(), MANY + 1);
    },
  );
});

test('a key that is no stream is told, and the others are trimmed', async () => {
  await using outbox = await createOutbox({ env: SAFE });
  const daemon = outbox.start();
  await daemon.streaming();
  await insertMany(outbox, MANY);
  await outbox.waitForLength(outbox.stream(), MANY);
  await outbox.redis.set(outbox.stream('foreign'), 'x');
  await outbox.redis.sadd(`${outbox.metaKey}:streams`, outbox.stream('foreign'));
  await outbox.redis.xgroup('CREATE', outbox.stream(), 'g', '$');
  await waitForLengthBelow(outbox, outbox.stream(), 101);
  const line = await daemon.waitForLog('streams could not be trimmed');
  expect(JSON.stringify(line)).toContain(outbox.stream('foreign'));
});

test('on a cluster each stream is trimmed on its node, as far as its own groups are', async () => {
  await using cluster = await startCluster();
  await using outbox = await createClusterOutbox(cluster, SAFE);
  const streams = new ClusterStreams(outbox, cluster);
  const types = ['order', 'invoice', 'shipment', 'customer'];
  const nameOf = (type: string) => `${outbox.name}.{${type}}`;
  const daemon = outbox.start(streams.streamEnv());
  await daemon.streaming();
  for (const type of types) await insertMany(outbox, MANY, type);
  for (const type of types) {
    await waitFor(`the entries of ${type}`, async () => (await outbox.redis.xlen(nameOf(type))) === MANY);
    await outbox.redis.xgroup('CREATE', nameOf(type), 'g', type === 'invoice' ? '0' : '$');
  }
  for (const type of types.filter((name) => name !== 'invoice')) {
    await waitFor(`${type} to be trimmed`, async () => (await outbox.redis.xlen(nameOf(type))) < 101);
  }
  expect(await outbox.redis.xlen(nameOf('invoice'))).toBe(MANY);
  expect((await daemon.stop()).exitCode).toBe(0);
});

test('a stream of half a million entries goes in small steps: nobody waits for it', async () => {
  await using redis = await startRedis();
  await using outbox = await createOutbox({ redisUrl: redis.url, isRedisOwn: true, env: SAFE });
  const stream = outbox.stream();
  const entries = 500_000;
  await outbox.redis.eval(
    `for n = 1, ${entries} do redis.call('XADD', KEYS[1], '*', 'id', n, 'payload', ARGV[1]) end`,
    1,
    stream,
    'x'.repeat(100),
  );
  await outbox.redis.xgroup('CREATE', stream, 'g', '$');
  await outbox.redis.config('SET', 'slowlog-log-slower-than', '20000');
  await outbox.redis.slowlog('RESET');
  await outbox.redis.config('RESETSTAT');
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.insert();
  await waitForLengthBelow(outbox, stream, 101);
  const stats = await outbox.redis.info('commandstats');
  const [, calls] = /cmdstat_xtrim:calls=(\d+)/.exec(stats) ?? [];
  // A thousand at a time.
  expect(Number(calls)).toBeGreaterThanOrEqual(entries / 1000);
  const slow = (await outbox.redis.slowlog('GET', 100)) as [number, number, number, string[]][];
  // Two milliseconds are usual; on a machine that others use a step may be put aside.
  expect(slow.filter(([, , micros]) => micros > 200_000).map((line) => line[3].slice(0, 1))).toEqual([]);
  await daemon.stop();
});
