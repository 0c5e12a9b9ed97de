import type { ContestantFacts } from '../../src/bench/bench-report.ts';

/** A contestant with the way it behaves: how long an event takes, and how fast a backlog goes. */
export interface SampleContestant {
  readonly facts: ContestantFacts;
  readonly latencyMs: (random: () => number) => number;
  /** Above this rate it falls behind. */
  readonly eventsPerSecondMax: number;
  readonly rowsDrainFactor: number;
  readonly queriesPerSecond: number;
  readonly writesPerEvent: number;
  readonly cpuUsPerEvent: number;
  readonly rssBytes: number;
}

export const SAMPLE_CONTESTANTS: readonly SampleContestant[] = [
  model(
    'walrelay',
    'Walrelay',
    'walrelay',
    'Reads the WAL by a replication slot and appends batches by a script.',
    {
      latencyMs: (random) => 0.36 * spread(random, 0.32) + (random() < 0.004 ? 4 * random() : 0),
      eventsPerSecondMax: 96_400,
      rowsDrainFactor: 1.1,
      queriesPerSecond: 1,
      cpuUsPerEvent: 3.6,
      rssBytes: 92e6,
    },
  ),
  model(
    'floor',
    'bare loop (the floor)',
    'floor',
    'Copies the bytes of each row from the slot into one XADD.',
    {
      latencyMs: (random) => 0.3 * spread(random, 0.28),
      eventsPerSecondMax: 51_600,
      cpuUsPerEvent: 5.6,
      rssBytes: 80e6,
    },
  ),
  ...[1000, 100, 10].map((interval) =>
    model(
      `poll-${interval}`,
      `polling every ${interval === 1000 ? '1 s' : `${interval} ms`}`,
      'polling',
      `Claims unsent rows with FOR UPDATE SKIP LOCKED every ${interval} ms, publishes and deletes them.`,
      {
        latencyMs: (random) => 1.6 * spread(random, 0.4) + interval * random(),
        eventsPerSecondMax: 14_000 + 20_000 / Math.sqrt(interval),
        rowsDrainFactor: 1.05,
        queriesPerSecond: 3000 / interval,
        writesPerEvent: 1,
        cpuUsPerEvent: 24,
        rssBytes: 104e6,
      },
    ),
  ),
  model('notify', 'LISTEN/NOTIFY', 'notify', 'The polling relay, woken by a NOTIFY of a trigger.', {
    latencyMs: (random) => 1.3 * spread(random, 0.35) + (random() < 0.02 ? 15 * random() : 0),
    eventsPerSecondMax: 11_800,
    queriesPerSecond: 410,
    writesPerEvent: 1.2,
    cpuUsPerEvent: 31,
    rssBytes: 101e6,
  }),
  model(
    'naive',
    'the first loop',
    'naive',
    'pg-logical-replication with its own parser and one awaited XADD per event.',
    {
      latencyMs: (random) => 0.52 * spread(random, 0.3),
      eventsPerSecondMax: 9_700,
      cpuUsPerEvent: 88,
      rssBytes: 131e6,
    },
  ),
  {
    ...model(
      'debezium',
      'Debezium Server',
      'peer',
      'Debezium Server 3 with its Redis sink and its defaults.',
      {},
    ),
    facts: {
      id: 'debezium',
      name: 'Debezium Server',
      kind: 'peer',
      summary: 'Debezium Server with its Redis sink and its defaults.',
      unavailable: 'Needs Java 17 or later; `java` was not found. Install a JRE and run again with --peers.',
    },
  },
  model(
    'debezium-tuned',
    'Debezium Server, low latency',
    'peer',
    'Debezium Server with poll.interval.ms=1.',
    {
      latencyMs: (random) => 5.8 * spread(random, 0.5) + (random() < 0.01 ? 120 * random() : 0),
      eventsPerSecondMax: 8_200,
      queriesPerSecond: 2,
      cpuUsPerEvent: 96,
      rssBytes: 486e6,
    },
  ),
  model(
    'pg-transactional-outbox',
    'pg-transactional-outbox',
    'peer',
    'The npm package, by replication, with an ioredis publisher.',
    {
      latencyMs: (random) => 1.9 * spread(random, 0.4),
      eventsPerSecondMax: 2_900,
      queriesPerSecond: 900,
      writesPerEvent: 0.4,
      cpuUsPerEvent: 210,
      rssBytes: 148e6,
    },
  ),
];

function model(
  id: string,
  name: string,
  kind: ContestantFacts['kind'],
  summary: string,
  of: Partial<Omit<SampleContestant, 'facts'>>,
): SampleContestant {
  return {
    facts: { id, name, kind, summary, ...(kind === 'peer' ? { version: '3.4.0' } : {}) },
    latencyMs: (random) => 1 + random(),
    eventsPerSecondMax: 5_000,
    rowsDrainFactor: 1,
    queriesPerSecond: 0,
    writesPerEvent: 0,
    cpuUsPerEvent: 50,
    rssBytes: 100e6,
    ...of,
  };
}

/** Around 1, with a tail to the right: latencies are never below zero, and sometimes long. */
export function spread(random: () => number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.exp(sigma * normal);
}
