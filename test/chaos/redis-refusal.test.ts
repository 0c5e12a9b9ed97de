import { connect } from 'node:net';
import { expect, test } from 'vitest';
import {
  isLong,
  Links,
  sessionErrors,
  settle,
  waitForRelay,
  waitForSessions,
} from '../support/chaos-links.ts';
import { Oracle } from '../support/exactness.ts';
import { HeldAppends } from '../support/held-appends.ts';
import { ownRedis } from '../support/own-redis.ts';
import { nameOfCommand, RespReader } from '../support/protocol-points.ts';
import { countErrors } from '../support/relay-errors.ts';
import { QUICK, seededLoad } from '../support/seeded-load.ts';
import { waitFor } from '../support/wait-for.ts';

const redis = ownRedis();
const load = seededLoad();

test('memory full in random moments of a deep pipeline, and raised again: exact', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({
    ...QUICK,
    WALRELAY_BATCH_EVENTS_MAX: '5',
    WALRELAY_IN_FLIGHT_BATCHES_MAX: '32',
  });
  await daemon.streaming();
  // Transactions of many batches, so that the pipeline is deep whenever the limit comes and goes.
  await using workload = load.start(outbox, { bigEvery: 4, bigRows: 1500 });
  const refusals = isLong ? 200 : 15;
  await waitForRelay(daemon, `${refusals} sessions ended by a full Redis`, async () => {
    await outbox.redis.config('SET', 'maxmemory', '1');
    await outbox.redis.config('SET', 'maxmemory', '0');
    return countErrors(daemon, 'REDIS_FULL') >= refusals;
  });
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('a batch that is refused takes its followers with it, though Redis would take them by then', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const held = new HeldAppends(links.redis);
  const daemon = outbox.start({
    ...QUICK,
    ...links.env,
    WALRELAY_BATCH_EVENTS_MAX: '10',
    WALRELAY_IN_FLIGHT_BATCHES_MAX: '4',
  });
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitUntilConfirmed();

  held.hold();
  await outbox.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'order', '1', 'x', to_jsonb(n) FROM generate_series(1, 100) n",
  );
  await waitForRelay(daemon, 'four batches on their way', () => held.appends.length === 4);
  await outbox.redis.config('SET', 'maxmemory', '1');
  try {
    held.send(held.appends.slice(0, 1));
    await waitFor('the refusal', () => held.answers.length === 1);
  } finally {
    await outbox.redis.config('SET', 'maxmemory', '0');
  }
  expect(held.answers[0]).toContain('OOM');
  held.send(held.appends.slice(1));
  await waitFor('the answers to the followers', () => held.answers.length === 4);
  for (const answer of held.answers.slice(1)) expect(answer).toMatch(/^-GAP/);
  held.release();
  await waitForSessions(daemon, 2);
  expect(await settle({ outbox, oracle, daemon })).toBe(101);
});

test('a batch of a dead session that arrives late is refused by the fence', async () => {
  await using outbox = await redis.createOutbox();
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
  await using outbox = await redis.createOutbox();
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
