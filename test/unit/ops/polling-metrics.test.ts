import { expect, test } from 'vitest';
import { PollingMetrics } from '../../../src/ops/polling-metrics.ts';
import { RelayMetrics } from '../../../src/ops/metrics.ts';

const NOW_MS = 1_700_000_000_000;

function createMetrics() {
  return new PollingMetrics({ version: '1.2.3', nowMs: () => NOW_MS, hasProcessMetrics: false });
}

test('claims, batches and wakes count once in each of their metrics', async () => {
  const metrics = createMetrics();
  expect((await metrics.render()).text).not.toMatch(/^walrelay_last_event_timestamp_seconds \d/m);
  metrics.recordClaim({ result: 'full', seconds: 0.002 });
  metrics.recordClaim({ result: 'empty', seconds: 0.0001 });
  metrics.recordBatch({ events: 10, bytes: 2000, appendSeconds: 0.0004 });
  metrics.recordWake();
  metrics.recordSession();
  metrics.recordSessionError('REDIS_FULL');
  metrics.setPhase('polling');
  const { text } = await metrics.render();
  for (const sample of [
    'walrelay_claims_total{result="full"} 1',
    'walrelay_claims_total{result="partial"} 0',
    'walrelay_claim_duration_seconds_count 2',
    'walrelay_events_total 10',
    'walrelay_batches_total 1',
    'walrelay_append_bytes_total 2000',
    'walrelay_append_duration_seconds_bucket{le="0.0005"} 1',
    'walrelay_wakes_total 1',
    'walrelay_sessions_total 1',
    'walrelay_session_errors_total{code="REDIS_FULL"} 1',
    'walrelay_phase{phase="polling"} 1',
    'walrelay_phase{phase="connecting"} 0',
    `walrelay_last_event_timestamp_seconds ${NOW_MS / 1000}`,
    'walrelay_build_info{version="1.2.3"} 1',
  ]) {
    expect(text).toContain(`\n${sample}\n`);
  }
});

test('what both relays count has one name and one type', async () => {
  const typesOf = (text: string) =>
    new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
  const relay = new RelayMetrics({ version: '1.2.3', hasProcessMetrics: false });
  const ofRun = typesOf((await relay.render()).text);
  const ofPoll = typesOf((await createMetrics().render()).text);
  const own = [...ofPoll.keys()].filter((name) => !ofRun.has(name));
  expect(own).toEqual(['walrelay_wakes_total', 'walrelay_claim_duration_seconds', 'walrelay_claims_total']);
  const shared = [...ofPoll].filter(([name]) => ofRun.has(name));
  expect(shared).toEqual(shared.map(([name]) => [name, ofRun.get(name)]));
});
