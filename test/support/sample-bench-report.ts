import type {
  BenchReport,
  DatabaseCost,
  LatencyReport,
  RunReport,
  ScenarioFacts,
  WriterCost,
} from '../../src/bench/bench-report.ts';
import { SAMPLE_CONTESTANTS, type SampleContestant, spread } from './sample-bench-contestants.ts';

/** A report as a bench on a small machine might write it: every kind of run, the same at each call. Its figures are made up. */
export function sampleBenchReport(): BenchReport {
  const random = mulberry32(20261121);
  return {
    format: 1,
    walrelayVersion: '0.1.0',
    startedAt: '2026-11-21T09:14:03.120Z',
    finishedAt: '2026-11-21T09:51:40.902Z',
    isComplete: true,
    command: 'walrelay bench --peers --html report.html',
    machine: {
      cores: 2,
      cpu: 'Intel(R) Xeon(R) Processor @ 2.70GHz',
      memoryBytes: 8_331_001_856,
      system: 'Linux 6.1.0 x64',
      node: '20.20.2',
    },
    postgres: {
      version: '17.10',
      isLocal: true,
      settings: {
        synchronous_commit: 'on',
        fsync: 'on',
        wal_writer_delay: '200ms',
        shared_buffers: '128MB',
        logical_decoding_work_mem: '64MB',
        commit_delay: '0',
      },
    },
    redis: {
      version: '7.0.15',
      isLocal: true,
      settings: { appendonly: 'no', appendfsync: 'everysec', save: '', 'maxmemory-policy': 'noeviction' },
    },
    contestants: SAMPLE_CONTESTANTS.map(({ facts }) => facts),
    scenarios: SCENARIOS,
    runs: SCENARIOS.flatMap((scenario) =>
      SAMPLE_CONTESTANTS.filter(({ facts }) => facts.unavailable === undefined).map((of) =>
        run(of, scenario, random),
      ),
    ),
    floor: {
      copyData: latencyOf(() => 0.21 * spread(random, 0.25), 2000, 10),
      redisRoundTrip: latencyOf(() => 0.06 * spread(random, 0.2), 2000, 10),
      bareLoop: latencyOf(() => 0.31 * spread(random, 0.28), 2000, 10),
      recvlogicalEventsPerSecond: 52_300,
      recvlogicalVersion: '17.10',
      serverDecodeEventsPerSecond: 164_000,
      notes: [],
    },
    writers: {
      payloadBytes: 200,
      costs: [
        writerCost('none', 'no event', [0.31, 1, 0, 0, 0, 0, 0]),
        writerCost('table', 'a table', [0.42, 1.35, 612, 487, 0, 9, 0.21]),
        writerCost('cleaned', 'a table, rows deleted', [0.43, 1.38, 701, 492, 1, 98, 1.4]),
        writerCost('messages', 'messages', [0.37, 1.19, 371, 0, 0, 0, 0]),
      ],
      notes: [],
    },
    remarks: [
      'Producers, Postgres, relay, Redis and reader share 2 cores: in a drain they take CPU from one another.',
      'Redis keeps nothing on disk (appendonly no): a durable one answers later, for every relay alike.',
    ],
  };
}

function writerCost(
  id: WriterCost['id'],
  name: string,
  [transactionMs, timesNone, ...perEvent]: readonly [number, number, ...number[]],
): WriterCost {
  const [wal = 0, stored = 0, dead = 0, vacuumWal = 0, vacuumUs = 0] = perEvent;
  return {
    id,
    name,
    transactions: 4000,
    transactionMs,
    timesNone,
    walBytesPerEvent: wal,
    storedBytesPerEvent: stored,
    deadRowsPerEvent: dead,
    vacuumWalBytesPerEvent: vacuumWal,
    vacuumUsPerEvent: vacuumUs,
  };
}

const SCENARIOS: readonly ScenarioFacts[] = [
  steady(50),
  steady(500),
  steady(5000),
  latencyScenario('idle', 'Idle, then one event', 'Nothing for a second, then one event; 30 times.', 30),
  latencyScenario(
    'burst',
    'Burst',
    '2,000 events as fast as one connection commits, every 5 seconds.',
    12_000,
  ),
  throughputScenario(
    'drain',
    'Backlog drain',
    'A backlog of single-row transactions, written while no relay runs.',
    500_000,
  ),
  throughputScenario(
    'drain-1000-rows',
    'Drain, 1,000 rows each',
    'A backlog in transactions of 1,000 rows.',
    500_000,
  ),
  {
    ...latencyScenario('hot-aggregate', 'One hot aggregate', 'All events belong to one aggregate.', 15_000),
    ratePerSecond: 500,
  },
  {
    ...latencyScenario('payload-16k', 'Payloads of 16 KB', '100 events a second.', 3000),
    payloadBytes: 16_384,
    ratePerSecond: 100,
  },
  {
    ...latencyScenario('payload-256k', 'Payloads of 256 KB', '10 events a second.', 300),
    payloadBytes: 262_144,
    ratePerSecond: 10,
  },
  throughputScenario(
    'transaction-100k',
    'One large transaction',
    'A single transaction of 100,000 rows.',
    100_000,
  ),
];

function steady(rate: number): ScenarioFacts {
  const title = `${rate.toLocaleString('en-US')} events/s`;
  return {
    ...latencyScenario(
      `steady-${rate}`,
      title,
      'Single-row transactions at a steady rate, by four producers.',
      rate * 30,
    ),
    ratePerSecond: rate,
  };
}

function latencyScenario(id: string, title: string, summary: string, events: number): ScenarioFacts {
  return { id, title, summary, measures: 'latency', events, payloadBytes: 200 };
}

function throughputScenario(id: string, title: string, summary: string, events: number): ScenarioFacts {
  return { id, title, summary, measures: 'throughput', events, payloadBytes: 200 };
}

function run(of: SampleContestant, scenario: ScenarioFacts, random: () => number): RunReport {
  const { id } = of.facts;
  const nothing = { missing: 0, duplicated: 0, misordered: 0, timedOut: false };
  const base = { contestant: id, scenario: scenario.id, committed: scenario.events, check: nothing };
  if (id === 'pg-transactional-outbox' && scenario.id === 'payload-256k') {
    const reason = 'the relay ended by itself: FATAL: JavaScript heap out of memory';
    return { ...base, outcome: 'failed', reason, seconds: 8.2, processes: {}, database: {} };
  }
  if (id === 'poll-1000' && scenario.id === 'idle') {
    const reason = 'not needed: the latency of an idle poll is its interval';
    return { ...base, outcome: 'skipped', reason, seconds: 0, processes: {}, database: {} };
  }
  if (id === 'floor' && scenario.id.startsWith('payload')) {
    return {
      ...base,
      outcome: 'skipped',
      reason: 'it knows small rows only',
      seconds: 0,
      processes: {},
      database: {},
    };
  }
  const isThroughput = scenario.measures === 'throughput';
  const factor = scenario.id === 'drain' ? 1 : of.rowsDrainFactor * (id.startsWith('poll') ? 4.4 : 1.5);
  const eventsPerSecond = of.eventsPerSecondMax * factor * (0.97 + 0.06 * random());
  const seconds = isThroughput ? scenario.events / eventsPerSecond : 30;
  return {
    ...base,
    outcome: 'measured',
    seconds,
    check: {
      ...nothing,
      ...(id === 'pg-transactional-outbox' && scenario.id === 'steady-5000'
        ? { timedOut: true, missing: 61_204 }
        : {}),
      ...(id === 'pg-transactional-outbox' && scenario.id === 'hot-aggregate' ? { misordered: 214 } : {}),
      ...(id === 'debezium-tuned' && scenario.id === 'burst' ? { duplicated: 17 } : {}),
    },
    ...(isThroughput
      ? { throughput: { eventsPerSecond, seconds, overTime: drainCurve(scenario.events, seconds, random) } }
      : latencies(of, scenario, random)),
    processes: {
      relay: cpu(of.cpuUsPerEvent, of.rssBytes * (0.96 + 0.1 * random()), scenario.events),
      postgres: cpu(of.writesPerEvent > 0 ? 41 : 6.5, 38e6, scenario.events),
      redis: cpu(of.cpuUsPerEvent < 10 ? 2.1 : 7.4, 61e6, scenario.events),
    },
    database: databaseCost(of, scenario, seconds),
  };
}

function latencies(of: SampleContestant, scenario: ScenarioFacts, random: () => number) {
  const size = Math.sqrt(1 + scenario.payloadBytes / 30_000);
  // Behind by a share of every second that passes, which the intended send time shows in full.
  const rate = scenario.ratePerSecond ?? (scenario.id === 'burst' ? 4000 : 1);
  const lateMsPerSecond = Math.max(0, 1 - of.eventsPerSecondMax / (rate * 1.15)) * 1000;
  // Nobody wins everything: the report has to say so.
  const handicap = of.facts.id === 'walrelay' && scenario.id === 'payload-256k' ? 2 : 1;
  const busy = handicap * (1 + (1.6 * rate) / of.eventsPerSecondMax);
  const draw = (seconds: number): number => of.latencyMs(random) * size * busy + lateMsPerSecond * seconds;
  const count = Math.min(scenario.events, 4000);
  return {
    latency: latencyOf(draw, count, 30),
    serviceLatency: latencyOf((seconds) => draw(seconds) * 0.98, count, 30),
  };
}

/** Percentiles of drawn values, as a recorder would sum them up. */
function latencyOf(draw: (seconds: number) => number, count: number, seconds: number): LatencyReport {
  const values = Array.from({ length: count }, (_, index) => draw((index / count) * seconds));
  const sorted = values.toSorted((a, b) => a - b);
  const at = (of: readonly number[], percentile: number): number =>
    of[Math.min(of.length - 1, Math.floor((of.length * percentile) / 100))]!;
  const perSecond = Array.from({ length: seconds }, (_, second) =>
    values
      .slice(Math.floor((second / seconds) * count), Math.floor(((second + 1) / seconds) * count))
      .sort((a, b) => a - b),
  );
  return {
    count,
    minMs: sorted[0]!,
    meanMs: sorted.reduce((sum, value) => sum + value, 0) / count,
    p50Ms: at(sorted, 50),
    p90Ms: at(sorted, 90),
    p99Ms: at(sorted, 99),
    p999Ms: at(sorted, 99.9),
    maxMs: sorted.at(-1)!,
    distribution: PERCENTILES.map((percentile) => [percentile, at(sorted, percentile)] as const),
    overTime: perSecond.flatMap((of, second) =>
      of.length === 0
        ? []
        : [{ seconds: second, p50Ms: at(of, 50), p99Ms: at(of, 99), maxMs: of.at(-1)!, count: of.length }],
    ),
  };
}

const PERCENTILES = [
  0, 10, 20, 30, 40, 50, 55, 60, 65, 70, 75, 77.5, 80, 82.5, 85, 87.5, 90, 91.25, 92.5, 93.75, 95, 96.25,
  97.5, 98.125, 98.75, 99, 99.375, 99.6875, 99.9, 99.95, 99.99, 100,
];

function drainCurve(events: number, seconds: number, random: () => number) {
  const steps = Math.min(120, Math.max(8, Math.ceil(seconds * 10)));
  return Array.from({ length: steps + 1 }, (_, step) => {
    const share = step === 0 || step === steps ? step / steps : (step - 0.5 * random()) / steps;
    return [(step / steps) * seconds, Math.round(events * share)] as const;
  });
}

function cpu(cpuUsPerEvent: number, peakRssBytes: number, events: number) {
  return {
    cpuUsPerEvent,
    peakRssBytes: Math.round(peakRssBytes),
    cpuSeconds: (cpuUsPerEvent * events) / 1e6 + 0.02,
  };
}

function databaseCost(of: SampleContestant, { events }: ScenarioFacts, seconds: number): DatabaseCost {
  const transactions = Math.round((of.queriesPerSecond * seconds) / 3 + 1);
  return {
    transactions,
    transactionsPerSecond: transactions / seconds,
    queriesPerSecond: of.queriesPerSecond,
    buffersHit: Math.round(events * of.writesPerEvent * 7.3 + of.queriesPerSecond * seconds * 11),
    buffersRead: Math.round(events * of.writesPerEvent * 0.02),
    walBytes: Math.round(events * of.writesPerEvent * 118),
    deadTuples: Math.round(events * Math.min(1, of.writesPerEvent)),
  };
}

/** A small generator with a seed: the same report on every machine. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
