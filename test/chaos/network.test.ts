import { Client } from 'pg';
import { expect, test } from 'vitest';
import { startPostgres } from '../../dev/servers/postgres.ts';
import { type Lsn, parseLsn, readLsn } from '../../src/core/lsn.ts';
import {
  isLong,
  Links,
  sessionErrors,
  settle,
  streamingCount,
  waitForEvents,
  waitForRelay,
  waitForSessions,
} from '../support/chaos-links.ts';
import { Random } from '../support/chaos-random.ts';
import { Oracle } from '../support/exactness.ts';
import type { DirectionFaults } from '../support/fault-proxy.ts';
import { FrameReader } from '../support/protocol-points.ts';
import { QUICK, seededLoad } from '../support/seeded-load.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/** Quick to see that nobody answers. */
const IMPATIENT = { WALRELAY_STATUS_INTERVAL_MS: '100', WALRELAY_SERVER_SILENCE_MS: '1000' };

const FENCED_EXIT_CODE = 75;

const load = seededLoad();

const everyDirection = (links: Links): DirectionFaults[] =>
  [links.postgres, links.redis].flatMap((proxy) => [proxy.upstream, proxy.downstream]);

test('reset or half-closed at random bytes of the stream: exact', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const random = new Random(load.seed);
  const daemon = outbox.start({ ...QUICK, ...links.env });
  await daemon.streaming();
  await using workload = load.start(outbox);
  for (let count = 1; count <= (isLong ? 200 : 20); count += 1) {
    const streamed = streamingCount(daemon);
    links.postgres.downstream.cut = random.pick(['reset', 'halfClose']);
    links.postgres.downstream.cutAfterBytes = random.int(1, 50_000);
    await waitForSessions(daemon, streamed + 1);
  }
  links.postgres.downstream.cutAfterBytes = null;
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('every byte in a packet of its own, on both links: exact', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const daemon = outbox.start({ ...QUICK, ...links.env });
  await daemon.streaming();
  for (const direction of everyDirection(links)) direction.pieceBytes = 1;
  await using workload = load.start(outbox, { payloadBytesMax: 300, bigEvery: 0, pauseMs: 200 });
  await waitForEvents(daemon, 300);
  // A session from its first byte, too.
  links.resetAll();
  await waitForSessions(daemon, 2);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('many packets in one, on both links: exact', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  for (const direction of everyDirection(links)) direction.coalesceMs = 30;
  const daemon = outbox.start({ ...QUICK, ...links.env });
  await daemon.streaming();
  await using workload = load.start(outbox);
  await waitForEvents(daemon, 2000);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('300 ms there and back and one megabit a second: slow, and exact', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  for (const direction of everyDirection(links)) {
    direction.delayMs = 150;
    direction.bytesPerSecond = 125_000;
  }
  const daemon = outbox.start({ ...QUICK, ...links.env });
  await daemon.streaming();
  await using workload = load.start(outbox, { payloadBytesMax: 2000, bigEvery: 0 });
  await waitForEvents(daemon, 500);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

for (const which of ['both ways', 'to the server', 'from the server'] as const) {
  test(`a link to Postgres that swallows everything ${which} is noticed, and the relay goes on when it is back`, async () => {
    // With the default of a minute the server would hold the slot for that long when it can't hear us.
    await using postgres = await startPostgres({ settings: { wal_sender_timeout: '2s' } });
    await using outbox = await createOutbox({ databaseUrl: postgres.url });
    const oracle = await Oracle.create(outbox);
    await using links = await Links.open(outbox);
    const daemon = outbox.start({ ...QUICK, ...IMPATIENT, ...links.env });
    await daemon.streaming();
    await using workload = load.start(outbox);
    await waitForEvents(daemon, 200);
    if (which !== 'from the server') links.postgres.upstream.setBlackHole(true);
    if (which !== 'to the server') links.postgres.downstream.setBlackHole(true);
    await waitForRelay(daemon, 'the silence to be noticed', () => sessionErrors(daemon).length > 0);
    const [code] = sessionErrors(daemon);
    console.log(`black hole ${which}: ${code}`);
    // One way only, the server may be the first to give up.
    expect(which === 'to the server' ? ['PG_SILENT', 'PG_CONNECTION_LOST'] : ['PG_SILENT']).toContain(code);
    links.postgres.blackHole(false);
    await waitForSessions(daemon, 2);
    expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
  });
}

for (const [where, text] of [
  ['while the guards ask', 'IDENTIFY_SYSTEM'],
  ['while the slot is claimed', 'pg_try_advisory_lock'],
  ['at START_REPLICATION', 'START_REPLICATION'],
] as const) {
  test(`a link to Postgres that goes silent ${where} is noticed, too`, async () => {
    await using outbox = await createOutbox();
    const oracle = await Oracle.create(outbox);
    await using links = await Links.open(outbox);
    let isOver = false;
    links.postgres.tap = () => ({
      onUpstream(chunk) {
        if (!isOver && chunk.includes(text)) links.postgres.blackHole(true);
        return chunk;
      },
    });
    const daemon = outbox.start({ ...QUICK, ...IMPATIENT, ...links.env });
    await waitForRelay(daemon, 'the silence to be noticed', () => sessionErrors(daemon).length > 0);
    isOver = true;
    links.postgres.blackHole(false);
    await waitForSessions(daemon, 1);
    await outbox.insert();
    expect(await settle({ outbox, oracle, daemon })).toBeGreaterThan(0);
  });
}

test('a transaction whose commit LSN is the end of the one confirmed last is sent after a reset', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  // Once holding, the stream goes up to the end of the next transaction, and no further.
  let isHolding = false;
  let endLsn: Lsn | null = null;
  let nextCommitLsn: Lsn | null = null;
  links.postgres.tap = () => {
    const frames = new FrameReader({ hasStartup: false });
    let isHeld = false;
    return {
      onDownstream(chunk) {
        const forwarded: Buffer[] = [];
        for (const frame of frames.push(chunk)) {
          if (!isHeld) forwarded.push(frame);
          if (!isHolding || frame[0] !== 0x64 || frame[5] !== 0x77) continue;
          // Behind the headers of CopyData (5) and XLogData (25): Begin has its LSN at 1, Commit its end at 10.
          if (frame[30] === 0x43 && !isHeld) {
            endLsn = readLsn(frame, 30 + 10);
            isHeld = true;
          } else if (frame[30] === 0x42 && isHeld) nextCommitLsn ??= readLsn(frame, 30 + 1);
        }
        return Buffer.concat(forwarded);
      },
    };
  };
  const daemon = outbox.start({ ...QUICK, ...links.env });
  await daemon.streaming();
  const clients = [outbox.databaseUrl, outbox.databaseUrl].map(
    (url) => new Client({ connectionString: url }),
  );
  for (const client of clients) await client.on('error', () => undefined).connect();
  let adjacentCount = 0;
  for (let attempt = 1; attempt <= 50 && adjacentCount < 3; attempt += 1) {
    await outbox.waitUntilConfirmed();
    isHolding = true;
    for (const client of clients) {
      await client.query('BEGIN');
      await client.query(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 'x', '{}')",
      );
    }
    await Promise.all(clients.map((client) => client.query('COMMIT')));
    await waitForRelay(daemon, 'both transactions', () => nextCommitLsn !== null);
    const end = endLsn as Lsn | null;
    if (nextCommitLsn === end && end !== null) {
      adjacentCount += 1;
      await waitForRelay(daemon, 'the first to be confirmed', async () => {
        return parseLsn(await outbox.confirmedLsn()) >= end;
      });
    }
    const streamed = streamingCount(daemon);
    isHolding = false;
    endLsn = null;
    nextCommitLsn = null;
    links.postgres.resetAll();
    await waitForSessions(daemon, streamed + 1);
    await outbox.waitForLength(outbox.stream(), 2 * attempt);
  }
  for (const client of clients) await client.end();
  expect(await settle({ outbox, oracle, daemon })).toBeGreaterThan(0);
  expect(adjacentCount).toBeGreaterThan(0);
});

test('a relay that sleeps while another takes over can not write when it wakes', async () => {
  await using postgres = await startPostgres({ settings: { wal_sender_timeout: '1s' } });
  await using outbox = await createOutbox({ databaseUrl: postgres.url });
  const oracle = await Oracle.create(outbox);
  const sleeper = outbox.start(QUICK);
  await sleeper.streaming();
  const successor = outbox.start(QUICK);
  await successor.waitForLog('standing by: another relay holds the slot');
  await using workload = load.start(outbox);
  await waitForEvents(sleeper, 300);
  sleeper.signal('SIGSTOP');
  await successor.streaming();
  await waitForEvents(successor, 300);
  sleeper.signal('SIGCONT');
  const woken = await waitFor('the sleeper to notice', () => {
    if (sleeper.hasExited) return 'exited';
    return sleeper.log.some((line) => line.msg.startsWith('standing by')) && 'stands by';
  });
  console.log(`zombie: ${woken}; its sessions ended with ${sessionErrors(sleeper).join(', ')}`);
  await waitForEvents(successor, 600);
  const { exitCode } = await sleeper.stop();
  expect(exitCode).toBe(woken === 'exited' ? FENCED_EXIT_CODE : 0);
  expect(await settle({ outbox, oracle, daemon: successor }, workload)).toBeGreaterThan(0);
});
