import { readdirSync, statSync, truncateSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { parseLsn } from '../../src/core/lsn.ts';
import {
  isLong,
  Links,
  readMetric,
  sessionErrors,
  settle,
  streamingCount,
  unlessExited,
  waitForEvents,
  waitForRelay,
  waitForSessions,
} from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import type { Daemon } from '../support/cli.ts';
import { Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { nameOfCommand, PointWatch, RespReader } from '../support/protocol-points.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';
import { Workload, type WorkloadOptions } from '../support/workload.ts';

const HISTORY_EXIT_CODE = 67;
/** Quick to come back, so that many faults fit into a run. */
const QUICK = { WALRELAY_STANDBY_POLL_MS: '20', WALRELAY_BACKOFF_MIN_MS: '20' };

let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis({ args: ['--appendfsync', 'always'] });
});

afterAll(async () => {
  await redis?.dispose();
});

let seed = 0;
beforeEach(({ task }) => {
  seed = chaosSeed(task.name);
});

const create = () => createOutbox({ redisUrl: redis.url });

function load(outbox: Outbox, options: Partial<WorkloadOptions> = {}): Workload {
  return Workload.start({ databaseUrl: outbox.databaseUrl, seed, ...options });
}

test('killed under load with appendfsync always, several times: exact', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  for (let life = 1; life <= (isLong ? 20 : 4); life += 1) {
    await waitForEvents(daemon, life * 300);
    await redis.kill();
    await redis.start();
    await waitForSessions(daemon, life + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('stopped for longer than the time-out: the batches of the dead session change nothing when it wakes', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({ ...QUICK, WALRELAY_REDIS_TIMEOUT_MS: '500' });
  await daemon.streaming();
  await using workload = load(outbox);
  for (let count = 1; count <= 2; count += 1) {
    await waitForEvents(daemon, count * 300);
    redis.pause();
    try {
      await waitForError(daemon, 'REDIS_TIMEOUT', count);
    } finally {
      redis.resume();
    }
    await waitForSessions(daemon, count + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('an answer that is lost after the batch was appended: the events are recognised and skipped', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const daemon = outbox.start({ ...QUICK, ...links.env, WALRELAY_REDIS_TIMEOUT_MS: '500' });
  await daemon.streaming();
  await using workload = load(outbox);
  for (let count = 1; count <= 5; count += 1) {
    await waitForEvents(daemon, count * 100);
    const streamed = streamingCount(daemon);
    // Commands go on, answers do not come back; the relay hears nothing until it gives the connection up.
    links.redis.downstream.setBlackHole(true);
    await waitForError(daemon, 'REDIS_TIMEOUT', count);
    links.redis.resetAll();
    links.redis.downstream.setBlackHole(false);
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await readMetric(daemon, 'walrelay_resent_events_total')).toBeGreaterThan(0);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('half a batch, then a cut: nothing of it is appended, all of it later', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const watch = new PointWatch(links);
  const random = new Random(seed);
  const daemon = outbox.start({ ...QUICK, ...links.env });
  await daemon.streaming();
  await using workload = load(outbox);
  for (let count = 1; count <= (isLong ? 100 : 12); count += 1) {
    const streamed = streamingCount(daemon);
    const stage = random.pick(['half', 'half', 'executed'] as const);
    await unlessExited(
      daemon,
      watch.arm({ message: 'append', stage }, random.int(1, 5), () => undefined),
    );
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('memory full in random moments of a deep pipeline, and raised again: exact', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({
    ...QUICK,
    WALRELAY_BATCH_EVENTS_MAX: '5',
    WALRELAY_IN_FLIGHT_BATCHES_MAX: '32',
  });
  await daemon.streaming();
  // Transactions of many batches, so that the pipeline is deep whenever the limit comes and goes.
  await using workload = load(outbox, { bigEvery: 4, bigRows: 1500 });
  const refusals = isLong ? 200 : 15;
  await waitForRelay(daemon, `${refusals} sessions ended by a full Redis`, async () => {
    await outbox.redis.config('SET', 'maxmemory', '1');
    await outbox.redis.config('SET', 'maxmemory', '0');
    return countErrors(daemon, 'REDIS_FULL') >= refusals;
  });
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('a batch that is refused takes its followers with it, though Redis would take them by then', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const held: Buffer[] = [];
  const answers: Buffer[] = [];
  let isHolding = false;
  let toServer = (_bytes: Buffer): void => undefined;
  let toClient = (_bytes: Buffer): void => undefined;
  links.redis.tap = (connection) => {
    const commands = new RespReader();
    const replies = new RespReader();
    return {
      onUpstream(chunk) {
        if (!isHolding) return Buffer.concat(commands.push(chunk));
        toServer = (bytes) => connection.toServer.write(bytes);
        toClient = (bytes) => connection.toClient.write(bytes);
        held.push(...commands.push(chunk));
        return Buffer.alloc(0);
      },
      onDownstream(chunk) {
        const arrived = replies.push(chunk);
        if (!isHolding) return Buffer.concat(arrived);
        answers.push(...arrived);
        return Buffer.alloc(0);
      },
    };
  };
  const daemon = outbox.start({
    ...QUICK,
    ...links.env,
    WALRELAY_BATCH_EVENTS_MAX: '10',
    WALRELAY_IN_FLIGHT_BATCHES_MAX: '4',
  });
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitUntilConfirmed();

  isHolding = true;
  await outbox.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'order', '1', 'x', to_jsonb(n) FROM generate_series(1, 100) n",
  );
  const appends = () => held.filter((command) => nameOfCommand(command) === 'append');
  await waitForRelay(daemon, 'four batches on their way', () => appends().length === 4);
  await outbox.redis.config('SET', 'maxmemory', '1');
  const [first, ...followers] = appends();
  try {
    toServer(first as Buffer);
    await waitFor('the refusal', () => answers.length === 1);
  } finally {
    await outbox.redis.config('SET', 'maxmemory', '0');
  }
  expect(answers[0]?.toString()).toContain('OOM');
  toServer(Buffer.concat(followers));
  await waitFor('the answers to the followers', () => answers.length === 4);
  for (const answer of answers.slice(1)) expect(answer.toString()).toMatch(/^-GAP/);
  isHolding = false;
  toClient(Buffer.concat(answers));
  await waitForSessions(daemon, 2);
  expect(await settle({ outbox, oracle, daemon })).toBe(101);
});

test('a batch of a dead session that arrives late is refused by the fence', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  let caught: Buffer | null = null;
  links.redis.tap = () => {
    const commands = new RespReader();
    return {
      onUpstream(chunk) {
        if (caught !== null) return Buffer.alloc(0);
        const arrived = commands.push(chunk);
        const at = arrived.findIndex((command) => nameOfCommand(command) === 'append');
        if (at === -1) return Buffer.concat(arrived);
        caught = arrived[at] as Buffer;
        return Buffer.concat(arrived.slice(0, at));
      },
    };
  };
  const first = outbox.start(links.env);
  await first.streaming();
  await outbox.insert();
  const late = await waitFor('a batch on its way', () => caught);
  await first.kill();

  // Nothing but the fence can refuse it now: the new session has not appended anything yet.
  await using second = outbox.start({ WALRELAY_STREAM: outbox.env['WALRELAY_STREAM'] ?? '' });
  await second.streaming();
  await outbox.waitForLength(outbox.stream(), 1);
  expect(await sendRaw(outbox.redisUrl, late)).toMatch(/^-FENCED/);
  expect(await settle({ outbox, oracle, daemon: second })).toBe(1);
});

test('one event refused in the middle of a batch: those before it stand, it and the rest follow once it may', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await outbox.redis.set(outbox.stream('invoice'), 'no stream');
  await outbox.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT CASE n WHEN 5 THEN 'invoice' ELSE 'order' END, '1', 'x', to_jsonb(n) FROM generate_series(1, 10) n",
  );
  const result = await daemon.exited;
  expect(sessionErrors(daemon).at(-1)).toBe('EVENT_REFUSED');
  expect(result.exitCode).toBe(68);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(4);
  await outbox.redis.del(outbox.stream('invoice'));
  const next = outbox.start(QUICK);
  await next.streaming();
  expect(await settle({ outbox, oracle, daemon: next })).toBe(10);
});

test('CLIENT KILL in a loop: exact', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  for (let count = 1; count <= (isLong ? 200 : 20); count += 1) {
    const streamed = streamingCount(daemon);
    await outbox.redis.call('CLIENT', 'KILL', 'TYPE', 'normal');
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('busy with a script of another client: the relay waits until it is over', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({ ...QUICK, WALRELAY_REDIS_TIMEOUT_MS: '5000' });
  await daemon.streaming();
  await using workload = load(outbox);
  await waitForEvents(daemon, 200);
  await outbox.redis.config('SET', 'busy-reply-threshold', '100');
  const other = new Redis(redis.url);
  const script = other.eval('while true do end', 0).catch((error: unknown) => String(error));
  await waitForError(daemon, 'REDIS_NOT_READY', 1);
  await outbox.redis.script('KILL');
  expect(await script).toContain('Script killed');
  other.disconnect();
  await waitForSessions(daemon, 2);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('made a read-only replica and back: exact', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  for (let count = 1; count <= 3; count += 1) {
    await waitForEvents(daemon, count * 100);
    const streamed = streamingCount(daemon);
    // Of a primary that does not answer: nothing is synchronised, nothing lost.
    await outbox.redis.replicaof('127.0.0.1', 1);
    await waitForError(daemon, 'REDIS_NOT_PRIMARY', count);
    await outbox.redis.replicaof('NO', 'ONE');
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('FLUSHALL under load: the relay stops with LANE_MISSING, and the slot stays where it was', async () => {
  await using outbox = await create();
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  await waitForEvents(daemon, 200);
  await waitFor('a confirmation', async () => (await floorOf(outbox)) > 0n);
  const replies = await outbox.redis.multi().hget(outbox.metaKey, 'floor').flushall().exec();
  const floor = BigInt(`0x${String(replies?.[0]?.[1])}`);
  await expectHalt(daemon, ['LANE_MISSING']);
  await workload.stop();
  expect(parseLsn(await outbox.confirmedLsn())).toBeLessThanOrEqual(floor);
  // And again, for whoever starts it without a look.
  await expectHalt(outbox.start(QUICK), ['LANE_MISSING']);
  expect(parseLsn(await outbox.confirmedLsn())).toBeLessThanOrEqual(floor);
  expect(await outbox.redis.keys(`${outbox.name}.*`)).toEqual([]);
});

test('killed without any persistence: the relay stops with LANE_MISSING, and the slot stays where it was', async () => {
  await using volatile = await startRedis({ args: ['--appendonly', 'no'] });
  await using outbox = await createOutbox({ redisUrl: volatile.url });
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  await waitForEvents(daemon, 200);
  await volatile.kill();
  const confirmed = await confirmedAtTheEnd(outbox);
  await volatile.start();
  await expectHalt(daemon, ['LANE_MISSING']);
  await workload.stop();
  expect(await outbox.confirmedLsn()).toBe(confirmed);
});

test('back from an older snapshot: the relay stops with REDIS_BEHIND, and the slot stays where it was', async () => {
  await using snapshots = await startRedis({ args: ['--appendonly', 'no'] });
  await using outbox = await createOutbox({ redisUrl: snapshots.url });
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  await waitForEvents(daemon, 200);
  await outbox.redis.save();
  const saved = await floorOf(outbox);
  await waitFor(
    'a confirmation after the snapshot',
    async () => parseLsn(await outbox.confirmedLsn()) > saved,
  );
  await snapshots.kill();
  const confirmed = await confirmedAtTheEnd(outbox);
  await snapshots.start();
  await expectHalt(daemon, ['REDIS_BEHIND']);
  await workload.stop();
  expect(await outbox.confirmedLsn()).toBe(confirmed);
});

test('the end of the AOF lost before it was confirmed: it is filled again from the slot, each entry once', async () => {
  await using everysec = await startRedis();
  await using outbox = await createOutbox({ redisUrl: everysec.url });
  const oracle = await Oracle.create(outbox);
  const hesitant = outbox.start({ ...QUICK, WALRELAY_WATCH_INTERVAL_MS: '600000' });
  await hesitant.streaming();
  await using workload = load(outbox);
  await waitForEvents(hesitant, 2000);
  await loseHalfOfAof(everysec);
  await waitForSessions(hesitant, 2);
  expect(sessionErrors(hesitant)).not.toContain('REDIS_BEHIND');
  // A stop confirms all of it.
  await hesitant.stop();
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('the end of the AOF lost after it was confirmed: the relay stops with REDIS_BEHIND', async () => {
  await using everysec = await startRedis();
  await using outbox = await createOutbox({ redisUrl: everysec.url });
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  await waitForEvents(daemon, 2000);
  await workload.stop();
  await outbox.waitUntilConfirmed();
  let confirmed = '';
  await loseHalfOfAof(everysec, async () => {
    confirmed = await confirmedAtTheEnd(outbox);
  });
  await expectHalt(daemon, ['REDIS_BEHIND']);
  expect(await outbox.confirmedLsn()).toBe(confirmed);
});

/** What a power cut does to appendfsync everysec, only more of it. */
async function loseHalfOfAof(
  server: RedisServer,
  whileDead: () => Promise<void> = async () => undefined,
): Promise<void> {
  await server.kill();
  await whileDead();
  const dir = join(server.dir, 'appendonlydir');
  const file = readdirSync(dir).find((name) => name.endsWith('.incr.aof'));
  if (file === undefined) throw new Error(`no append-only file in ${dir}`);
  const path = join(dir, file);
  truncateSync(path, Math.floor(statSync(path).size / 2));
  await server.start();
}

/** With Redis gone no session gets as far as the slot: once it is free, the last status update has been read. */
async function confirmedAtTheEnd(outbox: Outbox): Promise<string> {
  await waitFor('the slot to be free', async () => {
    const [slot] = await outbox.query<{ active: boolean }>(
      'SELECT active FROM pg_replication_slots WHERE slot_name = $1',
      [outbox.name],
    );
    return slot?.active === false;
  });
  return outbox.confirmedLsn();
}

async function floorOf(outbox: Outbox): Promise<bigint> {
  return BigInt(`0x${(await outbox.redis.hget(outbox.metaKey, 'floor')) ?? '0'}`);
}

async function expectHalt(daemon: Daemon, codes: readonly string[]): Promise<void> {
  const result = await daemon.exited;
  expect(codes).toContain(sessionErrors(daemon).at(-1));
  expect(result.exitCode).toBe(HISTORY_EXIT_CODE);
}

function countErrors(daemon: Daemon, code: string): number {
  return sessionErrors(daemon).filter((found) => found === code).length;
}

async function waitForError(daemon: Daemon, code: string, count: number): Promise<void> {
  await waitForRelay(daemon, `${code} for the ${count}. time`, () => countErrors(daemon, code) >= count);
}

/** Sends bytes as they are, after AUTH, and returns the last line that comes back. */
async function sendRaw(url: string, bytes: Buffer): Promise<string> {
  const { port, password } = new URL(url);
  const socket = connect({ host: '127.0.0.1', port: Number(port) });
  const replies = new RespReader();
  const lines: string[] = [];
  socket.on('data', (chunk: Buffer) => lines.push(...replies.push(chunk).map(String)));
  socket.write(`*2\r\n$4\r\nAUTH\r\n$${password.length}\r\n${password}\r\n`);
  socket.write(bytes);
  try {
    return (await waitFor('the answer', () => lines[1])) ?? '';
  } finally {
    socket.destroy();
  }
}
