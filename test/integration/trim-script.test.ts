import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { redisFlavour } from '../../dev/servers/redis-flavour.ts';
import { compareEntryIds } from '../../src/sink/stream-reader.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { type FixedRule, LANE, readGroup, SAFE, TrimServer } from '../support/trim-server.ts';

/** So small that trimming whole nodes is nearly exact: an entry too much would show. */
const SMALL_NODES = ['--stream-node-max-entries', '2'];
const RUN_MS = 6000;

describe.each(['own', 'valkey-8', 'redis-8', 'redis-8.6'] as const)('on the Redis %s', (flavour) => {
  test('consumers read, acknowledge, claim and come anew at random: nothing goes that a group has not acknowledged', async ({
    skip,
  }) => {
    const binary = flavour === 'own' ? undefined : await redisFlavour(flavour);
    if (binary !== undefined && 'missing' in binary) return skip(binary.missing);
    const random = new Random(chaosSeed(`trimming on ${flavour}`));
    await using server = await TrimServer.start({ ...(binary && { binary }), args: SMALL_NODES });
    const consumers = new Consumers(server, random);
    await consumers.run();
    expect(consumers.flaws).toEqual([]);
    // Else there was nothing to get wrong.
    expect(consumers.removed).toBeGreaterThan(500);
    expect(consumers.held).toBeGreaterThan(20);
    await consumers.acknowledgeAll();
    await server.trim(STREAM, SAFE);
    expect(await server.redis.xlen(STREAM)).toBeLessThanOrEqual(4);
    expect(await server.redis.xlen(STREAM)).toBeGreaterThan(0);
  });
});

test('where the server knows ACKED it is asked to look too; where it does not, one refusal is enough', async ({
  skip,
}) => {
  for (const [flavour, calls] of [
    ['own', 1],
    ['redis-8.6', 3],
  ] as const) {
    const binary = flavour === 'own' ? undefined : await redisFlavour(flavour);
    if (binary !== undefined && 'missing' in binary) return skip(binary.missing);
    await using server = await TrimServer.start({ ...(binary && { binary }), args: SMALL_NODES });
    await server.fill('s', 100);
    await server.redis.xgroup('CREATE', 's', 'g', '$');
    const monitor = await server.connect().monitor();
    let asked = 0;
    monitor.on('monitor', (_time: string, args: string[]) => {
      if (args[0]?.toUpperCase() === 'XTRIM' && args.includes('ACKED')) asked += 1;
    });
    const trimmer = server.trimmer(SAFE);
    for (let step = 0; step < 3; step += 1)
      await trimmer.step(server.connection, { lane: LANE, stream: 's' }, 10, null);
    await server.redis.ping();
    await expect.poll(() => asked).toBe(calls);
    monitor.disconnect();
    expect(await server.redis.xlen('s')).toBeLessThanOrEqual(70);
  }
});

describe('safe', () => {
  const server = lazily(() => TrimServer.start({ args: SMALL_NODES }));

  test('a stream without a group is left alone, and so is one whose only group does not count', async () => {
    const { redis } = await server();
    await (await server()).fill('none', 50);
    const { first } = await (await server()).trim('none', SAFE);
    expect(first).toMatchObject({ removed: 0, groups: 0, length: 50, slowest: null });
    await redis.xgroup('CREATE', 'none', 'dead', '$');
    expect((await (await server()).trim('none', { ...SAFE, ignoredGroups: ['dead'] })).removed).toBe(0);
  });

  test('a group that has read nothing keeps everything; ignored, it keeps nothing', async () => {
    const { redis } = await server();
    const ids = await (await server()).fill('dead', 50);
    await redis.xgroup('CREATE', 'dead', 'billing', '$');
    await redis.xgroup('CREATE', 'dead', 'dead', '0');
    const { first } = await (await server()).trim('dead', SAFE);
    expect(first).toMatchObject({ removed: 0, slowest: { name: 'dead', unreadId: ids[0], pending: 0 } });
    expect(
      (await (await server()).trim('dead', { ...SAFE, ignoredGroups: ['dead', 'x'] })).removed,
    ).toBeGreaterThan(40);
  });

  test('an entry that is held keeps all behind it; one that was deleted meanwhile keeps nothing', async () => {
    const { redis } = await server();
    const ids = await (await server()).fill('held', 50);
    await redis.xgroup('CREATE', 'held', 'g', '0');
    await (await server()).read('held', 'g', 50);
    await redis.xack('held', 'g', ...ids.filter((_, index) => index !== 20 && index !== 40));
    await (await server()).trim('held', SAFE);
    const left = await (await server()).ids('held');
    expect(left).toEqual(ids.slice(-left.length));
    expect(left).toContain(ids[20]);
    expect(left.length).toBeLessThan(35);
    await redis.xdel('held', ids[20] as string);
    // The first round cuts up to the hole, the second one sees that nothing is there.
    await (await server()).trim('held', SAFE);
    await (await server()).trim('held', SAFE);
    const rest = await (await server()).ids('held');
    expect(rest).toContain(ids[40]);
    expect(rest.length).toBeLessThan(15);
    expect((await redis.xpending('held', 'g'))[0]).toBe(2);
  });

  test('of what is acknowledged, the length and the age are kept', async () => {
    const { redis } = await server();
    await (await server()).fill('keep', 100);
    await redis.xgroup('CREATE', 'keep', 'g', '$');
    expect((await (await server()).trim('keep', { ...SAFE, ageMaxMs: 3_600_000 })).removed).toBe(0);
    expect((await (await server()).trim('keep', { ...SAFE, ageMaxMs: null, lengthMax: 200 })).removed).toBe(
      0,
    );
    await (await server()).trim('keep', { ...SAFE, ageMaxMs: null, lengthMax: 30 }, 7);
    const length = await redis.xlen('keep');
    expect(length).toBeGreaterThanOrEqual(30);
    expect(length).toBeLessThan(34);
  });

  test('the newest entry stays, whatever the rule', async () => {
    const { redis } = await server();
    for (const [stream, rule] of [
      ['newest', SAFE],
      ['newest too', { ...SAFE, mode: 'even-unread' }],
    ] as const) {
      const ids = await (await server()).fill(stream, 20);
      await redis.xgroup('CREATE', stream, 'g', '$');
      await new Promise((resolve) => setTimeout(resolve, 5));
      await (await server()).trim(stream, rule);
      expect((await (await server()).ids(stream)).at(-1)).toBe(ids.at(-1));
    }
  });

  test('IDs beyond what a double holds are told apart', async () => {
    const { redis } = await server();
    const ids = Array.from(
      { length: 30 },
      (_, index) => `18446744073709551600-${9007199254740993n + BigInt(index)}`,
    );
    for (const id of ids) await redis.xadd('huge', id, 'id', '1');
    await redis.xgroup('CREATE', 'huge', 'a', ids[20] as string);
    await redis.xgroup('CREATE', 'huge', 'b', ids[10] as string);
    await (await server()).trim('huge', { ...SAFE, ageMaxMs: null, lengthMax: 1 });
    const left = await (await server()).ids('huge');
    expect(left).toEqual(ids.slice(-left.length));
    expect(left).toContain(ids[11]);
    expect(left.length).toBeLessThan(24);
  });

  test('a relay that was replaced trims nothing', async () => {
    const { redis, connection } = await server();
    await (await server()).fill('fenced', 50);
    await redis.xgroup('CREATE', 'fenced', 'g', '$');
    const replaced = (await server()).trimmer(SAFE, 6);
    await expect(
      replaced.step(connection, { lane: LANE, stream: 'fenced' }, 1000, null),
    ).rejects.toMatchObject({ code: 'FENCED' });
    await expect(
      replaced.step(connection, { lane: 'no lane', stream: 'fenced' }, 1000, null),
    ).rejects.toMatchObject({ code: 'LANE_MISSING' });
    expect(await redis.xlen('fenced')).toBe(50);
  });
});

test('even-unread: the groups are not asked', async () => {
  await using server = await TrimServer.start({ args: SMALL_NODES });
  await server.fill('s', 100);
  await server.redis.xgroup('CREATE', 's', 'g', '0');
  const rule: FixedRule = { mode: 'even-unread', lengthMax: 10, ageMaxMs: null, ignoredGroups: [] };
  const { removed, first } = await server.trim('s', rule);
  expect(removed).toBeGreaterThan(85);
  expect(first.slowest).toBeNull();
  expect(await server.redis.xlen('s')).toBeGreaterThanOrEqual(10);
});

function lazily(start: () => Promise<TrimServer>): () => Promise<TrimServer> {
  let started: Promise<TrimServer> | undefined;
  return () => (started ??= start());
}

const STREAM = 's';
const GROUPS = ['billing', 'mail', 'search', 'archive'];

/** Producers, consumers and a trimmer, all at once, and somebody who looks whether anything is gone. */
class Consumers {
  readonly flaws: string[] = [];
  removed = 0;
  /** Rounds in which a group kept something. */
  held = 0;
  readonly #server: TrimServer;
  readonly #random: Random;
  readonly #appended: string[] = [];
  /** What each group was promised when it was made or set back: all that stood there from this entry on. */
  readonly #promisedFrom = new Map<string, string>();
  #isOver = false;

  constructor(server: TrimServer, random: Random) {
    this.#server = server;
    this.#random = random;
  }

  async run(): Promise<void> {
    const { redis } = this.#server;
    this.#appended.push(...(await this.#server.fill(STREAM, 20)));
    for (const group of GROUPS.slice(0, 2)) await this.#place(redis, group, '0');
    const loops = [
      this.#produce(this.#server.connect()),
      ...['c1', 'c2'].flatMap((consumer) =>
        GROUPS.map((group) => this.#consume(this.#server.connect(), group, consumer)),
      ),
      this.#comeAndGo(this.#server.connect()),
      this.#trim(),
      this.#look(this.#server.connect()),
    ];
    await sleep(RUN_MS);
    this.#isOver = true;
    await Promise.all(loops);
    await this.#lookOnce(redis);
  }

  async acknowledgeAll(): Promise<void> {
    const { redis } = this.#server;
    for (const group of await this.#groups(redis)) {
      while ((await readGroup(redis, STREAM, group, 1000, 'last')).length > 0);
      const pending = (await redis.xpending(STREAM, group, '-', '+', 100_000)) as [string][];
      if (pending.length > 0) await redis.xack(STREAM, group, ...pending.map(([id]) => id));
    }
  }

  async #produce(redis: Redis): Promise<void> {
    while (!this.#isOver) {
      const some = Array.from({ length: this.#random.int(1, 8) }, () =>
        redis.xadd(STREAM, '*', 'id', String(this.#random.next())),
      );
      this.#appended.push(...((await Promise.all(some)) as string[]));
      await sleep(this.#random.int(0, 3));
    }
  }

  async #consume(redis: Redis, group: string, consumer: string): Promise<void> {
    const random = this.#random;
    while (!this.#isOver) {
      try {
        const ids = await readGroup(redis, STREAM, group, random.int(1, 30), consumer);
        const done = ids.filter(() => random.next() < 0.95);
        if (done.length > 0) await redis.xack(STREAM, group, ...random.shuffle(done));
        const draw = random.next();
        if (draw < 0.3) await this.#finishOld(redis, group, consumer);
        else if (draw < 0.35 && ids.length > 0) {
          // Takes an entry that was acknowledged a moment ago, or never delivered: it is held again.
          await redis.call('XCLAIM', STREAM, group, consumer, 0, random.pick(ids), 'FORCE');
        }
      } catch (error) {
        // The group is gone for a while.
        if (!String(error).includes('NOGROUP')) throw error;
      }
      await sleep(random.int(0, 6));
    }
  }

  /** Claims what somebody holds, and acknowledges most of it. */
  async #finishOld(redis: Redis, group: string, consumer: string): Promise<void> {
    const [, entries] = (await redis.call('XAUTOCLAIM', STREAM, group, consumer, 0, '-', 'COUNT', 20)) as [
      string,
      ([string] | null)[],
    ];
    const ids = entries.flatMap((entry) => (entry === null ? [] : [entry[0]]));
    const done = ids.filter(() => this.#random.next() < 0.8);
    if (done.length > 0) await redis.xack(STREAM, group, ...done);
  }

  /** Groups are made, set back and destroyed. */
  async #comeAndGo(redis: Redis): Promise<void> {
    const random = this.#random;
    while (!this.#isOver) {
      await sleep(random.int(20, 120));
      const group = random.pick(GROUPS);
      const existing = await this.#groups(redis);
      if (!existing.includes(group)) {
        await this.#place(redis, group, random.pick(['0', '$', this.#appended.at(-5) ?? '0']));
      } else if (random.next() < 0.4) {
        this.#promisedFrom.delete(group);
        await redis.xgroup('DESTROY', STREAM, group);
      } else if (random.next() < 0.5) {
        const [back] = await redis.xrange(STREAM, '-', '+', 'COUNT', 1);
        await this.#place(redis, group, back?.[0] ?? '0', 'SETID');
      }
    }
  }

  async #place(redis: Redis, group: string, id: string, how: 'CREATE' | 'SETID' = 'CREATE'): Promise<void> {
    // While it is not told what was promised, nobody looks at it.
    this.#promisedFrom.delete(group);
    const replies = await redis
      .multi()
      .xrange(STREAM, '-', '+', 'COUNT', 1)
      .call('XGROUP', how, STREAM, group, id)
      .exec();
    const [[, entries]] = replies as [[Error | null, [string, string[]][]]];
    const firstId = entries[0]?.[0] ?? '0-0';
    this.#promisedFrom.set(group, firstId);
  }

  async #trim(): Promise<void> {
    const random = this.#random;
    const rules: FixedRule[] = [
      SAFE,
      { ...SAFE, ageMaxMs: null, lengthMax: 5 },
      { ...SAFE, ageMaxMs: 20, lengthMax: 50 },
    ];
    while (!this.#isOver) {
      const { removed, first } = await this.#server.trim(STREAM, random.pick(rules), random.int(1, 100));
      this.removed += removed;
      if (first.slowest?.unreadId !== null) this.held += 1;
    }
  }

  async #look(redis: Redis): Promise<void> {
    while (!this.#isOver && this.flaws.length === 0) await this.#lookOnce(redis);
  }

  async #lookOnce(redis: Redis): Promise<void> {
    const promised = new Map(this.#promisedFrom);
    const appended = [...this.#appended];
    const replies = await redis.eval(LOOK, 1, STREAM);
    const [entries, groups] = replies as [string[], [string, string, string[]][]];
    const standing = new Set(entries);
    const newest = entries.at(-1) ?? '0-0';
    for (const [group, lastDelivered, pending] of groups) {
      const from = promised.get(group);
      // Made anew while this look was under way.
      if (from === undefined || this.#promisedFrom.get(group) !== from) continue;
      const unread = appended.filter(
        (id) =>
          compareEntryIds(id, from) >= 0 &&
          compareEntryIds(id, lastDelivered) > 0 &&
          compareEntryIds(id, newest) <= 0,
      );
      for (const id of [...unread, ...pending]) {
        if (!standing.has(id)) this.flaws.push(`${group} has not acknowledged ${id}, and it is gone`);
      }
    }
  }

  async #groups(redis: Redis): Promise<string[]> {
    const groups = (await redis.xinfo('GROUPS', STREAM)) as unknown[][];
    return groups.map((group) => String(group[1]));
  }
}

const LOOK = `
local entries, groups = {}, {}
for i, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do entries[i] = entry[1] end
for g, list in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local info, pending = {}, {}
  for f = 1, #list, 2 do info[list[f]] = list[f + 1] end
  for p, held in ipairs(redis.call('XPENDING', KEYS[1], info['name'], '-', '+', 100000)) do pending[p] = held[1] end
  groups[g] = {info['name'], info['last-delivered-id'], pending}
end
return {entries, groups}
`;
