import { expect, test } from 'vitest';
import { parseLsn, toLsn } from '../../../src/core/lsn.ts';
import { RelayMetrics } from '../../../src/ops/metrics.ts';

const NOW_MS = 1_700_000_000_000;

function createMetrics() {
  return new RelayMetrics({ version: '1.2.3', nowMs: () => NOW_MS, hasProcessMetrics: false });
}

/** Sample lines by name and labels, without the comments. */
async function samples(metrics: RelayMetrics): Promise<Record<string, number>> {
  const { text } = await metrics.render();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

test('what is not known yet is absent, not zero', async () => {
  const found = await samples(createMetrics());
  for (const name of ['received_lsn_bytes', 'confirmed_lsn_bytes', 'lag_bytes', 'slot_safe_bytes']) {
    expect(found).not.toHaveProperty(`walrelay_${name}`);
  }
  expect(found).toMatchObject({
    walrelay_events_total: 0,
    walrelay_paused: 0,
    'walrelay_build_info{version="1.2.3"}': 1,
    'walrelay_phase{phase="connecting"}': 1,
  });
});

test('a batch counts once in each of its metrics', async () => {
  const metrics = createMetrics();
  metrics.recordBatch({ events: 10, bytes: 2000, appendSeconds: 0.0004, oldestCommitAgeSeconds: 0.0042 });
  metrics.recordBatch({ events: 5, bytes: 500, appendSeconds: 0.3, oldestCommitAgeSeconds: -2 });
  metrics.recordTransactions(3);
  metrics.recordResentEvents(7);
  expect(await samples(metrics)).toMatchObject({
    walrelay_events_total: 15,
    walrelay_batches_total: 2,
    walrelay_append_bytes_total: 2500,
    walrelay_transactions_total: 3,
    walrelay_resent_events_total: 7,
    'walrelay_append_duration_seconds_bucket{le="0.0005"}': 1,
    walrelay_append_duration_seconds_count: 2,
    'walrelay_commit_to_stream_seconds_bucket{le="0.0005"}': 1,
    'walrelay_commit_to_stream_seconds_bucket{le="60"}': 2,
    walrelay_last_event_timestamp_seconds: NOW_MS / 1000,
  });
});

test('a batch of events that were all skipped has no age', async () => {
  const metrics = createMetrics();
  metrics.recordBatch({ events: 0, bytes: 100, appendSeconds: 0.1, oldestCommitAgeSeconds: 9 });
  const found = await samples(metrics);
  expect(found.walrelay_commit_to_stream_seconds_count).toBe(0);
  expect(found).not.toHaveProperty('walrelay_last_event_timestamp_seconds');
});

test('the relay is in one phase at a time', async () => {
  const metrics = createMetrics();
  metrics.setPhase('streaming');
  const phases = Object.entries(await samples(metrics)).filter(([name]) => name.startsWith('walrelay_phase'));
  expect(phases).toHaveLength(7);
  expect(phases.filter(([, value]) => value === 1)).toEqual([['walrelay_phase{phase="streaming"}', 1]]);
});

test("lag is the server's WAL end minus what Redis has accepted, and never negative", async () => {
  const metrics = createMetrics();
  metrics.setServerWalEndLsn(parseLsn('1/100'));
  expect(await samples(metrics)).not.toHaveProperty('walrelay_lag_bytes');
  metrics.setAcceptedLsn(parseLsn('1/40'));
  expect((await samples(metrics)).walrelay_lag_bytes).toBe(0xc0);
  metrics.setAcceptedLsn(parseLsn('1/200'));
  expect((await samples(metrics)).walrelay_lag_bytes).toBe(0);
});

test('what is not known of the slot is absent, and the rest outlives a session', async () => {
  const metrics = createMetrics();
  const wal = { retainedBytes: 5, safeBytes: 100, secondsToInvalidation: 60, walBytesPerSecond: 7 };
  metrics.setWal(wal);
  metrics.forgetSession();
  expect(await samples(metrics)).toMatchObject({
    walrelay_slot_retained_bytes: 5,
    walrelay_slot_safe_bytes: 100,
    walrelay_slot_seconds_to_invalidation: 60,
    walrelay_wal_bytes_per_second: 7,
  });
  metrics.setWal({ ...wal, safeBytes: null, secondsToInvalidation: null });
  expect(await samples(metrics)).not.toHaveProperty('walrelay_slot_safe_bytes');
  expect(await samples(metrics)).not.toHaveProperty('walrelay_slot_seconds_to_invalidation');
  metrics.setWal(null);
  expect(await samples(metrics)).not.toHaveProperty('walrelay_slot_retained_bytes');
});

test('sessions, errors and load', async () => {
  const metrics = createMetrics();
  metrics.recordSession();
  metrics.recordSessionError('PG_SHUTDOWN');
  metrics.setInFlight({ batches: 2, heldBytes: 1000 });
  metrics.setPaused(true);
  metrics.setReceivedLsn(toLsn(4096n));
  expect(await samples(metrics)).toMatchObject({
    walrelay_sessions_total: 1,
    'walrelay_session_errors_total{code="PG_SHUTDOWN"}': 1,
    walrelay_in_flight_batches: 2,
    walrelay_held_bytes: 1000,
    walrelay_paused: 1,
    walrelay_received_lsn_bytes: 4096,
  });
});

test('two relays in one process do not meet, and both show the process', async () => {
  const pages = [new RelayMetrics({ version: 'a' }), new RelayMetrics({ version: 'b' })];
  for (const metrics of pages)
    expect((await metrics.render()).text).toContain('walrelay_process_cpu_seconds_total');
});
