import { setTimeout as sleep } from 'node:timers/promises';
import { untilArrived } from './arrival-watch.ts';
import type { DeliveryCheck, RunReport } from './bench-report.ts';
import type { RunningContestant } from './contestant.ts';
import { backendPids, CostMeter } from './cost-meter.ts';
import { countersBetween, type DatabaseCounters, scaled } from './database-counters.ts';
import { intendedOffsetsUs, LOADER, placeOfEvent, streamName, WATCHED_STREAMS_MAX } from './load-plan.ts';
import { loadBacklog } from './load-backlog.ts';
import { ProgramProcess } from './program-process.ts';
import type { ProducerJob, ProducerResult, ProducerRun } from './programs/producer.ts';
import type { CheckJob, ReaderCount, ReaderLatencies, ReportJob, WatchJob } from './programs/reader.ts';
import type { RunContext } from './run-context.ts';
import { seededRandom } from './seeded-random.ts';

/** Between the order to begin and the first event. */
const LEAD_US = 200_000;
/** The warm-up is another draw of the same load. */
const WARMUP_SEED = 0x5eed;
const BASE_SECONDS_MAX = 3;
const ARRIVAL_POLL_MS = 100;
/** A look at one stream takes Redis some microseconds; the looks together shall not be a load. */
const POLL_MS_PER_STREAM = 0.05;
const READER_POLL_MS = 20;
const READER_POLLS_MAX = 1000;

/** Producers write on schedule while the relay runs and a reader waits for each entry. */
export async function runLatency(context: RunContext): Promise<RunReport> {
  const { place, postgres, contestant, scenario, host, guard, step } = context;
  const { signal } = place;
  const streams = streamsOf(context);
  const pollMs = Math.round(ARRIVAL_POLL_MS + streams.length * POLL_MS_PER_STREAM);
  const reader = new ProgramProcess('reader', { env: host.env, guard });
  const producer = new ProgramProcess('producer', { env: host.env, guard });
  let running: RunningContestant | undefined;
  // Whatever still waits when the run is over, for a relay that has died, stops waiting.
  const over = new AbortController();
  const waiting = AbortSignal.any([signal, over.signal]);
  try {
    if (scenario.backlogEvents > 0) {
      step('writing a backlog');
      await loadBacklog(place, scenario);
    }
    await postgres.attempt('CHECKPOINT');
    await producer.ask('prepare', producerJob(context), signal);
    step('starting');
    const others = await backendPids(postgres);
    running = await contestant.start(place);
    for (const pid of running.pids) guard.watchPid(pid);
    const ended = running.ended.then((how) => {
      throw new Error(how);
    });
    ended.catch(() => undefined);
    if (scenario.backlogEvents > 0) {
      step('draining the backlog');
      const expected = scenario.backlogEvents;
      const drained = await Promise.race([
        untilArrived(context, { streams, expected, pollMs, signal: waiting }),
        ended,
      ]);
      if (drained.timedOut) throw new Error(`it did not drain a backlog of ${expected} events in time`);
    }
    await reader.ask(
      'watch',
      { redisUrl: place.redisUrl, streams: streams.slice(0, WATCHED_STREAMS_MAX) } satisfies WatchJob,
      signal,
    );

    const meter = new CostMeter(context, running, others);
    step('warming up');
    const warmed = await Promise.race([warmUp(context, producer), ended]);
    await Promise.race([
      untilArrived(context, { streams, expected: scenario.backlogEvents + warmed, pollMs, signal: waiting }),
      ended,
    ]);
    await meter.beginDatabase();
    await meter.beginProcesses();
    step('measuring');
    const fromUs = host.nowUs() + LEAD_US;
    const producing = producer.ask<ProducerResult>('run', measuredRun(context, fromUs), signal);
    producing.catch(() => undefined);
    const produced = await Promise.race([producing, ended]);
    await producer.ask('finish', undefined, signal);
    const committed: [number, number][] = [...produced.committed.entries()];
    if (scenario.backlogEvents > 0) committed.push([LOADER, scenario.backlogEvents]);
    const expected = committed.reduce((sum, [, count]) => sum + count, 0);
    const { timedOut } = await Promise.race([
      untilArrived(context, { streams, expected, pollMs, signal: waiting }),
      ended,
    ]);
    if (!timedOut) await untilRead(reader, watchedOf(produced.committed, context), signal);
    const seconds = (host.nowUs() - fromUs) / 1e6;
    const processes = await meter.endProcesses(produced.transactions * scenario.plan.rowsPerTransaction);
    const { latency, serviceLatency } = await reader.ask<ReaderLatencies>(
      'report',
      { fromUs } satisfies ReportJob,
      signal,
    );
    await running.stop();
    const database = await meter.endDatabase(seconds, context.base);
    step('checking');
    const check = await reader.ask<DeliveryCheck>(
      'check',
      { redisUrl: place.redisUrl, streams, plan: scenario.plan, committed, timedOut } satisfies CheckJob,
      signal,
    );
    return {
      contestant: contestant.id,
      scenario: scenario.id,
      outcome: 'measured',
      seconds: Number(seconds.toFixed(2)),
      committed: expected,
      check,
      ...(latency === undefined ? {} : { latency }),
      ...(serviceLatency === undefined ? {} : { serviceLatency }),
      processes,
      database,
    };
  } finally {
    over.abort(new Error('the run is over'));
    await running?.stop();
    for (const pid of running?.pids ?? []) guard.unwatchPid(pid);
    await producer.stop();
    await reader.stop();
  }
}

/**
 * What the load alone costs the database. A long load is measured for a few seconds and the rest reckoned: each event
 * costs the same.
 */
export async function runBase(context: Omit<RunContext, 'contestant' | 'base'>): Promise<DatabaseCounters> {
  const { place, postgres, counters, host, guard, step, scenario } = context;
  const producer = new ProgramProcess('producer', { env: host.env, guard });
  try {
    step('the load alone');
    await postgres.attempt('CHECKPOINT');
    await producer.ask('prepare', producerJob(context), place.signal);
    await warmUp(context, producer);
    const before = await counters.read();
    const whole = measuredRun(context, host.nowUs() + LEAD_US);
    const part = { ...whole, seconds: Math.min(whole.seconds, BASE_SECONDS_MAX) };
    const { transactions } = await producer.ask<ProducerResult>('run', part, place.signal);
    await producer.ask('finish', undefined, place.signal);
    const counted = countersBetween(before, await counters.read());
    return scaled(
      counted,
      intendedOffsetsUs(scenario.plan, whole.seconds, seededRandom(whole.seed)).length / transactions,
    );
  } finally {
    await producer.stop();
  }
}

/** The floor knows of one stream only. */
export function streamsOf({ place, scenario, contestant }: RunContext): string[] {
  const count = contestant.kind === 'floor' ? 1 : scenario.plan.streams;
  return Array.from({ length: count }, (_, stream) => streamName(place.keyPrefix, stream));
}

function producerJob({
  place,
  scenario,
  seed,
}: Pick<RunContext, 'place' | 'scenario' | 'seed'>): ProducerJob {
  return { databaseUrl: place.databaseUrl, table: place.table, plan: scenario.plan, seed };
}

/** The same kind of load, of which nothing counts; resolves with its events when all of them are written. */
async function warmUp(
  { host, scenario, seed, place }: Pick<RunContext, 'host' | 'scenario' | 'seed' | 'place'>,
  producer: ProgramProcess,
): Promise<number> {
  const run: ProducerRun = {
    startUs: host.nowUs() + LEAD_US,
    seconds: scenario.warmupSeconds,
    seed: (seed ^ WARMUP_SEED) >>> 0,
  };
  const { committed } = await producer.ask<ProducerResult>('run', run, place.signal);
  return committed.reduce((sum, count) => sum + count, 0);
}

function measuredRun(
  { scenario, seed }: Pick<RunContext, 'scenario' | 'seed'>,
  startUs: number,
): ProducerRun {
  return { startUs, seconds: scenario.seconds, seed };
}

/** How many of the producers' events the reader can see. */
function watchedOf(committed: readonly number[], context: RunContext): number {
  const { plan } = context.scenario;
  let watched = 0;
  for (const [producer, count] of committed.entries()) {
    if (context.contestant.kind === 'floor' || plan.streams <= WATCHED_STREAMS_MAX) watched += count;
    else
      for (let number = 0; number < count; number += 1) {
        if (placeOfEvent(plan, producer, number).stream < WATCHED_STREAMS_MAX) watched += 1;
      }
  }
  return watched;
}

/** The entries stand; the reader needs a moment to have them, if it is to have them at all. */
async function untilRead(reader: ProgramProcess, expected: number, signal: AbortSignal): Promise<void> {
  for (let poll = 0; poll < READER_POLLS_MAX; poll += 1) {
    const { seen } = await reader.ask<ReaderCount>('count', undefined, signal);
    if (seen >= expected) return;
    await sleep(READER_POLL_MS, undefined, { signal });
  }
}
