import { type Arrivals, untilArrived } from './arrival-watch.ts';
import type { DatabaseCost, DeliveryCheck, RunReport, ThroughputReport } from './bench-report.ts';
import type { RunningContestant } from './contestant.ts';
import { backendPids, CostMeter } from './cost-meter.ts';
import { streamsOf } from './latency-run.ts';
import { commitBacklogAtOnce, loadBacklog } from './load-backlog.ts';
import { LOADER } from './load-plan.ts';
import { ProgramProcess } from './program-process.ts';
import type { CheckJob } from './programs/reader.ts';
import type { RunContext } from './run-context.ts';
import type { ScenarioKind } from './scenario.ts';

/** XLEN of a few streams: Redis answers in microseconds, and nothing else competes with the relay. */
const POLL_MS = 10;
/** Points of the curve in the report. */
const CURVE_POINTS_MAX = 200;

/**
 * Everything is there at once: how fast does the relay bring it over? For a backlog it is started on what stands in
 * the table; for one transaction it waits, and time counts from the commit. Costs count from the first entry, so that
 * the start of a process is no part of them.
 */
export async function runDrain(context: RunContext): Promise<RunReport> {
  const { place, postgres, contestant, scenario, guard, host, step } = context;
  const { signal } = place;
  const streams = streamsOf(context);
  const expected = scenario.backlogEvents;
  let running: RunningContestant | undefined;
  // Whatever still waits when the run is over, for a relay that has died, stops waiting.
  const over = new AbortController();
  try {
    if (scenario.kind === 'backlog') {
      step('writing the backlog');
      await loadBacklog(place, scenario);
    }
    await postgres.attempt('CHECKPOINT');
    step('starting');
    const others = await backendPids(postgres);
    // A relay that is slow to report may have drained a good part before start() resolves: so it is watched from here.
    const starting = contestant.start(place).then((started) => {
      for (const pid of started.pids) guard.watchPid(pid);
      running = started;
      return started;
    });
    let meter: CostMeter | undefined;
    let measuredFrom = 0;
    const begin = async () => {
      meter = new CostMeter(context, await starting, others);
      measuredFrom = host.nowUs();
      await meter.beginProcesses();
      await meter.beginDatabase();
    };
    const ended = starting
      .then(async (started) => await started.ended)
      .then((how) => {
        throw new Error(how);
      });
    ended.catch(() => undefined);

    let commitUs: number | undefined;
    if (scenario.kind === 'transaction') {
      await starting;
      commitUs = await commitBacklogAtOnce(place, scenario, async () => {
        await begin();
        return host.nowUs();
      });
    }
    step('draining');
    const arrivals = await Promise.race([
      untilArrived(context, {
        streams,
        expected,
        pollMs: POLL_MS,
        signal: AbortSignal.any([signal, over.signal]),
        onFirst: scenario.kind === 'backlog' ? begin : undefined,
      }),
      ended,
    ]);
    await starting;
    const [lastUs, delivered] = arrivals.curve.at(-1) ?? [host.nowUs(), 0];
    const counted = delivered - (scenario.kind === 'backlog' ? (arrivals.curve[0]?.[1] ?? 0) : 0);
    const processes = await meter?.endProcesses(counted);
    await running?.stop();
    const database = await meter?.endDatabase(Math.max(0, (lastUs - measuredFrom) / 1e6), undefined);
    step('checking');
    const check = await checkStreams(context, streams, arrivals.timedOut);
    return {
      contestant: contestant.id,
      scenario: scenario.id,
      outcome: 'measured',
      seconds: Number(Math.max(0, (lastUs - (commitUs ?? measuredFrom)) / 1e6).toFixed(3)),
      committed: expected,
      check,
      throughput: throughputOf(arrivals.curve, commitUs),
      processes: processes ?? {},
      database: costOfDrain(database ?? {}, scenario.kind),
    };
  } finally {
    over.abort(new Error('the run is over'));
    await running?.stop();
    for (const pid of running?.pids ?? []) guard.unwatchPid(pid);
  }
}

/**
 * Of a drain: no rates, since a relay's first queries are reported with its last ones. And of one transaction no
 * buffers: the connection that wrote it reports its own with the commit.
 */
function costOfDrain(cost: DatabaseCost, kind: ScenarioKind): DatabaseCost {
  const { transactionsPerSecond: _rate, queriesPerSecond: _queries, buffersHit, buffersRead, ...rest } = cost;
  if (kind === 'transaction' || buffersHit === undefined || buffersRead === undefined) return rest;
  return { ...rest, buffersHit, buffersRead };
}

/** Without `fromUs` from the first entries that were seen; they are not counted themselves. */
export function throughputOf(curve: Arrivals['curve'], fromUs?: number): ThroughputReport {
  const first = curve[0];
  const last = curve.at(-1);
  if (first === undefined || last === undefined) return { eventsPerSecond: 0, seconds: 0, overTime: [] };
  const [originUs, before] = fromUs === undefined ? first : [fromUs, 0];
  const seconds = (last[0] - originUs) / 1e6;
  const every = Math.ceil(curve.length / CURVE_POINTS_MAX);
  const points = curve.filter((_, index) => index % every === 0 || index === curve.length - 1);
  return {
    eventsPerSecond: seconds === 0 ? 0 : Math.round((last[1] - before) / seconds),
    seconds: Number(seconds.toFixed(3)),
    overTime: points.map(([atUs, entries]) => [Number(((atUs - originUs) / 1e6).toFixed(3)), entries]),
  };
}

async function checkStreams(
  { place, scenario, host, guard }: RunContext,
  streams: readonly string[],
  timedOut: boolean,
): Promise<DeliveryCheck> {
  const reader = new ProgramProcess('reader', { env: host.env, guard });
  try {
    return await reader.ask<DeliveryCheck>(
      'check',
      {
        redisUrl: place.redisUrl,
        streams,
        plan: scenario.plan,
        committed: [[LOADER, scenario.backlogEvents]],
        timedOut,
      } satisfies CheckJob,
      place.signal,
    );
  } finally {
    await reader.stop();
  }
}
