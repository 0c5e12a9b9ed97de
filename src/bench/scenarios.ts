import { WATCHED_STREAMS_MAX, type LoadPlan } from './load-plan.ts';
import type { Scenario } from './scenario.ts';

export interface ScenarioSizes {
  /** The measured part of each steady rate. */
  readonly seconds: number;
  readonly warmupSeconds: number;
  /** Of a drain's backlog. */
  readonly drainEvents: number;
}

export const DEFAULT_SIZES: ScenarioSizes = { seconds: 5, warmupSeconds: 1.2, drainEvents: 200_000 };
export const QUICK_SIZES: ScenarioSizes = { seconds: 4, warmupSeconds: 1, drainEvents: 50_000 };
/** What `--quick` looks at. */
export const QUICK_SCENARIOS: readonly string[] = ['steady-500', 'idle', 'drain'];
export const QUICK_CONTESTANTS: readonly string[] = [
  'floor',
  'walrelay',
  'poll-100',
  'notify',
  'naive',
  'peer',
];

const USUAL_BYTES = 200;
/** One polling relay stands for all where the interval makes no difference, or only the known one. */
const ONE_OF_EACH = ['floor', 'walrelay', 'poll-10', 'notify', 'naive', 'peer'] as const;
const DRAINING = ['floor', 'walrelay', 'poll-10', 'naive', 'peer'] as const;
const BEST_TWO = ['walrelay', 'poll-10'] as const;

/** Every scenario, in the order in which they are run and shown. */
export function allScenarios(sizes: ScenarioSizes): readonly Scenario[] {
  return [
    steady(50, sizes),
    steady(500, sizes),
    steady(5000, sizes),
    {
      ...latency(sizes),
      id: 'idle',
      title: 'One event at a time',
      summary:
        'One event, then a random pause of 20 to 180 ms: what a single event takes from its COMMIT when nothing else goes on.',
      plan: { ...USUAL_PLAN, producers: 1, arrivals: { kind: 'pauses', minMs: 20, maxMs: 180 } },
      seconds: sizes.seconds * 1.5,
    },
    {
      ...latency(sizes),
      id: 'burst',
      title: 'Bursts of 5,000 events',
      summary: 'Nothing, then 5,000 events at once in transactions of 100 rows; again and again.',
      plan: {
        ...USUAL_PLAN,
        rowsPerTransaction: 100,
        arrivals: { kind: 'bursts', events: 5000, everyMs: 2000 },
      },
      warmupSeconds: 2,
      seconds: Math.max(4, sizes.seconds),
    },
    {
      ...latency(sizes),
      id: 'hot-aggregate',
      title: 'One hot aggregate',
      summary: '500 events a second, all of one aggregate, over one connection: nothing may overtake.',
      plan: { ...USUAL_PLAN, producers: 1, aggregatesPerProducer: 1, streams: 1, arrivals: rate(500) },
      contestants: ONE_OF_EACH,
    },
    {
      ...latency(sizes),
      id: 'payload-16k',
      title: 'Payloads of 16 KB',
      summary: '100 events a second, each with a payload of 16 KB.',
      plan: { ...USUAL_PLAN, payloadBytes: 16_384, arrivals: rate(100) },
      contestants: ONE_OF_EACH,
    },
    {
      ...latency(sizes),
      id: 'payload-256k',
      title: 'Payloads of 256 KB',
      summary: '10 events a second, each with a payload of 256 KB.',
      plan: { ...USUAL_PLAN, payloadBytes: 262_144, arrivals: rate(10) },
      contestants: ONE_OF_EACH,
    },
    ...[1, 100, 10_000].map((streams) => manyStreams(streams, sizes)),
    {
      ...latency(sizes),
      id: 'backlog-age',
      title: 'Right after a backlog',
      summary: `200 events a second, right after a backlog of ${count(sizes.drainEvents)} events was drained.`,
      plan: { ...USUAL_PLAN, arrivals: rate(200) },
      backlogEvents: sizes.drainEvents,
      contestants: BEST_TWO,
    },
    {
      ...backlog(sizes),
      id: 'drain',
      title: 'Backlog drain',
      summary: `${count(sizes.drainEvents)} events, each in a transaction of its own, were written while the relay was down.`,
    },
    {
      ...backlog(sizes),
      id: 'drain-1000-rows',
      title: 'Backlog drain, large transactions',
      summary: `${count(sizes.drainEvents)} events in transactions of 1,000 rows were written while the relay was down.`,
      backlogRowsPerTransaction: 1000,
    },
    {
      ...backlog(sizes),
      id: 'transaction-100k',
      kind: 'transaction',
      title: 'One transaction of 100,000 rows',
      summary: '100,000 events are committed at once while the relay waits; counted from the commit.',
      backlogEvents: 100_000,
      backlogRowsPerTransaction: 100_000,
    },
  ];
}

function steady(ratePerSecond: number, sizes: ScenarioSizes): Scenario {
  return {
    ...latency(sizes),
    id: `steady-${ratePerSecond}`,
    title: `${count(ratePerSecond)} events a second`,
    summary: `${count(ratePerSecond)} events a second, each in a transaction of its own, at random moments.`,
    plan: {
      ...USUAL_PLAN,
      producers: ratePerSecond > 1000 ? 8 : 4,
      arrivals: rate(ratePerSecond),
    },
  };
}

function manyStreams(streams: number, sizes: ScenarioSizes): Scenario {
  const isPartlyWatched = streams > WATCHED_STREAMS_MAX;
  return {
    ...latency(sizes),
    id: `streams-${streams}`,
    title: streams === 1 ? 'One stream' : `${count(streams)} streams`,
    summary:
      `500 events a second over ${streams === 1 ? 'one stream' : `${count(streams)} streams`}` +
      (isPartlyWatched
        ? `; measured in ${WATCHED_STREAMS_MAX} of them, which get a fifth of the events.`
        : '.'),
    plan: { ...USUAL_PLAN, streams, arrivals: rate(500) },
    // So that every stream is there.
    backlogEvents: 2 * Math.max(1000, streams),
    contestants: BEST_TWO,
    unsuitable: (contestant) =>
      isPartlyWatched && contestant === 'floor' ? 'it knows of one stream only' : undefined,
  };
}

function latency({ seconds, warmupSeconds }: ScenarioSizes) {
  return {
    kind: 'latency',
    seconds,
    warmupSeconds,
    backlogEvents: 0,
    backlogRowsPerTransaction: 1,
  } as const;
}

function backlog({ drainEvents }: ScenarioSizes) {
  return {
    kind: 'backlog',
    plan: USUAL_PLAN,
    seconds: 0,
    warmupSeconds: 0,
    backlogEvents: drainEvents,
    backlogRowsPerTransaction: 1,
    contestants: DRAINING,
  } as const;
}

function rate(ratePerSecond: number): LoadPlan['arrivals'] {
  return { kind: 'steady', ratePerSecond };
}

function count(number: number): string {
  return number.toLocaleString('en');
}

const USUAL_PLAN: LoadPlan = {
  producers: 4,
  aggregatesPerProducer: 25,
  streams: 4,
  payloadBytes: USUAL_BYTES,
  rowsPerTransaction: 1,
  arrivals: rate(500),
};
