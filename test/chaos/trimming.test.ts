import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startRedis } from '../../dev/servers/redis.ts';
import { audit } from '../support/audit-cli.ts';
import { isLong, readMetric } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { Oracle } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';
import { Workload } from '../support/workload.ts';

const SEED = chaosSeed('trimming');
const KILLS = isLong ? 60 : 8;
const TYPES = ['order', 'invoice', 'shipment', 'customer'];
const GROUPS = ['billing', 'mail'];
const NOTHING = { missing: 0, duplicated: 0, misordered: 0, altered: 0, foreign: 0 };

test(`relay and Redis are killed while streams are trimmed under load: each group gets every event, and an audit misses nothing (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  await using redis = await startRedis({ args: ['--stream-node-max-entries', '5'] });
  await using outbox = await createOutbox({
    redisUrl: redis.url,
    isRedisOwn: true,
    env: {
      WALRELAY_TRIM: 'safe',
      WALRELAY_TRIM_MAX_AGE_MS: '1000',
      WALRELAY_TRIM_INTERVAL_MS: '100',
      WALRELAY_REPLAY_WINDOW_MS: '10000',
      WALRELAY_BACKOFF_MIN_MS: '20',
    },
  });
  const oracle = await Oracle.create(outbox);
  for (const type of TYPES) {
    for (const group of GROUPS)
      await outbox.redis.xgroup('CREATE', outbox.stream(type), group, '0', 'MKSTREAM');
  }
  // A group that is not made before the kill would not be on the disk.
  await outbox.redis.call('WAITAOF', 1, 0, 0).catch(() => sleep(1500));
  const consumers = GROUPS.flatMap((group) =>
    TYPES.map((type) => new Consumer(redis.url, outbox.stream(type), group)),
  );
  let daemon = outbox.start();
  await daemon.streaming();
  let trimmed = 0;
  {
    await using _workload = Workload.start({
      databaseUrl: outbox.databaseUrl,
      seed: SEED,
      bigEvery: 40,
      bigRows: 1000,
      payloadBytesMax: 2000,
    });
    for (let kill = 0; kill < KILLS; kill += 1) {
      await sleep(random.int(500, 2500));
      trimmed += await readMetric(daemon, 'walrelay_trimmed_entries_total').catch(() => 0);
      if (random.next() < 0.6) {
        await daemon.kill();
        daemon = outbox.start();
      } else {
        await redis.kill();
        await redis.start();
      }
      await daemon.streaming();
      const { report } = await audit(outbox, ['--wait', '2', '--last', '20s']);
      expect({ findings: report.findings, examples: report.examples.missing ?? [] }).toEqual({
        findings: NOTHING,
        examples: [],
      });
    }
  }
  await outbox.waitUntilConfirmed(60_000);
  const committed = await oracle.read();
  for (const consumer of consumers) {
    const wanted = committed.filter(({ stream }) => stream === consumer.stream);
    await waitFor(
      `${consumer.group} to have all of ${consumer.stream}`,
      () => {
        expect(consumer.failure).toBeNull();
        return wanted.every(({ id }) => consumer.done.has(id));
      },
      60_000,
    );
  }
  // Else it was too quiet to prove anything.
  expect(committed.length).toBeGreaterThan(1000);
  trimmed += await readMetric(daemon, 'walrelay_trimmed_entries_total');
  expect(trimmed).toBeGreaterThan(300);
  await Promise.all(consumers.map((consumer) => consumer.stop()));
  const { report } = await audit(outbox, ['--wait', '30']);
  expect(report).toMatchObject({ findings: NOTHING, notes: { inFlight: 0 } });
  expect((await daemon.stop()).exitCode).toBe(0);
});

/** Handles what its group gets, remembers the event ids, and acknowledges late and in no order. */
class Consumer {
  readonly stream: string;
  readonly group: string;
  readonly done = new Set<string>();
  failure: unknown = null;
  readonly #redis: Redis;
  readonly #ended: Promise<void>;
  #isOver = false;

  constructor(url: string, stream: string, group: string) {
    this.stream = stream;
    this.group = group;
    this.#redis = new Redis(url, { protocol: 2, maxRetriesPerRequest: null, retryStrategy: () => 50 });
    this.#redis.on('error', () => undefined);
    this.#ended = this.#run();
    this.#ended.catch((error: unknown) => {
      this.failure = error;
    });
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
    this.#redis.disconnect();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      try {
        const fresh = await this.#read('>');
        await sleep(5);
        // What it did not acknowledge the last time, e.g. since Redis was killed in between.
        await this.#finish([
          ...fresh.filter((_, index) => index % 7 !== 0),
          ...(await this.#read('0')).slice(0, 50),
        ]);
      } catch (error) {
        if (!/closed|LOADING|ECONNREFUSED|ended|reset/i.test(String(error))) throw error;
        await sleep(50);
      }
    }
  }

  async #read(from: '>' | '0'): Promise<Entry[]> {
    const reply = (await this.#redis.call(
      'XREADGROUP',
      'GROUP',
      this.group,
      'c',
      'COUNT',
      500,
      'STREAMS',
      this.stream,
      from,
    )) as [string, [string, string[] | null][]][] | null;
    return (reply?.[0]?.[1] ?? []).map(([entryId, fields]) => {
      // Held, and gone: it was trimmed before it was acknowledged.
      if (fields === null) throw new Error(`${this.group} holds ${entryId}, and it is gone`);
      return { entryId, eventId: fields[fields.indexOf('id') + 1] ?? '' };
    });
  }

  async #finish(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    for (const { eventId } of entries) this.done.add(eventId);
    await this.#redis.xack(this.stream, this.group, ...entries.map(({ entryId }) => entryId));
  }
}

interface Entry {
  readonly entryId: string;
  readonly eventId: string;
}
