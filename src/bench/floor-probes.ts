import type { BenchHost } from './bench-host.ts';
import type { FloorReport, LatencyReport, RunReport } from './bench-report.ts';
import type { BenchPlace } from './contestant.ts';
import { replicationUnavailable, setUpSlot, tearDownSlot } from './contestants/slot-set-up.ts';
import { type ControlPostgres, withPostgres } from './control-postgres.ts';
import { dropSlot } from './drop-slot.ts';
import { loadBacklog } from './load-backlog.ts';
import type { LoadPlan } from './load-plan.ts';
import type { ProcessGuard } from './process-guard.ts';
import { ProgramProcess } from './program-process.ts';
import type { BareSlot } from './programs/bare-replication.ts';
import type { RoundTripJob } from './programs/probe.ts';
import type { ProducerJob, ProducerResult, ProducerRun } from './programs/producer.ts';
import { findRecvlogical, receive } from './recvlogical.ts';
import { createSlotSql } from '../source/setup-sql.ts';
import type { Scenario } from './scenario.ts';

const PAUSES = { minMs: 10, maxMs: 60 } as const;
/** Events of the first second are the probes' warm-up. */
const WARMUP_US = 1_000_000;
const LEAD_US = 200_000;

const PROBE_PLAN: LoadPlan = {
  producers: 1,
  aggregatesPerProducer: 1,
  streams: 1,
  payloadBytes: 200,
  rowsPerTransaction: 1,
  arrivals: { kind: 'pauses', ...PAUSES },
};

export interface FloorMeans {
  readonly host: BenchHost;
  readonly guard: ProcessGuard;
  readonly postgres: ControlPostgres;
  readonly scenarios: readonly Scenario[];
  readonly runs: readonly RunReport[];
  readonly seed: number;
  /** Of each probe of latency. */
  readonly seconds: number;
  freshPlace(): Promise<BenchPlace>;
  readonly step: (text: string) => void;
}

/** What no relay on these servers can beat, piece by piece; each piece may be absent, with a note that says why. */
export async function measureFloor(means: FloorMeans): Promise<FloorReport> {
  const notes: string[] = [];
  const bare = means.runs.find(
    ({ contestant, scenario, latency }) =>
      contestant === 'floor' && scenario === 'idle' && latency !== undefined,
  );
  const place = await means.freshPlace();
  const unavailable = await replicationUnavailable(place);
  if (unavailable !== undefined) notes.push(`No replication here: ${unavailable}.`);
  const redisRoundTrip = await noted(notes, 'The round trip to Redis', () => measureRoundTrip(means, place));
  const copyData =
    unavailable === undefined
      ? await noted(notes, 'Commit to CopyData', () => measureCopyData(means, place))
      : undefined;
  const drain = means.scenarios.find(({ id }) => id === 'drain');
  const reading =
    drain === undefined || unavailable !== undefined ? {} : await measureReading(means, drain, notes);
  return {
    ...(copyData === undefined ? {} : { copyData }),
    ...(redisRoundTrip === undefined ? {} : { redisRoundTrip }),
    ...(bare?.latency === undefined ? {} : { bareLoop: bare.latency }),
    ...reading,
    notes,
  };
}

async function measureRoundTrip(
  { host, guard, step, seed, seconds }: FloorMeans,
  place: BenchPlace,
): Promise<LatencyReport | undefined> {
  step('the floor: one answer of Redis');
  const probe = new ProgramProcess('probe', { env: host.env, guard });
  const samples = Math.round((seconds * 2000) / (PAUSES.minMs + PAUSES.maxMs));
  const job: RoundTripJob = {
    redisUrl: place.redisUrl,
    key: `${place.keyPrefix}probe`,
    samples,
    seed,
    ...PAUSES,
  };
  try {
    return await probe.ask<LatencyReport | undefined>('redisRoundTrip', job, place.signal);
  } finally {
    await probe.stop();
  }
}

async function measureCopyData(
  { host, guard, step, seed, seconds }: FloorMeans,
  place: BenchPlace,
): Promise<LatencyReport | undefined> {
  step('the floor: commit to CopyData');
  const probe = new ProgramProcess('probe', { env: host.env, guard });
  const producer = new ProgramProcess('producer', { env: host.env, guard });
  const { databaseUrl, table, name, signal } = place;
  try {
    await setUpSlot(place);
    const slot: BareSlot = {
      databaseUrl,
      slot: name,
      publication: name,
      applicationName: 'walrelay-bench-probe',
    };
    await probe.ask('watchCopyData', slot, signal);
    await producer.ask(
      'prepare',
      { databaseUrl, table, plan: PROBE_PLAN, seed } satisfies ProducerJob,
      signal,
    );
    const startUs = host.nowUs() + LEAD_US;
    const run: ProducerRun = { startUs, seconds: seconds + WARMUP_US / 1e6, seed };
    await producer.ask<ProducerResult>('run', run, signal);
    return await probe.ask<LatencyReport | undefined>('copyData', { fromUs: startUs + WARMUP_US }, signal);
  } finally {
    await producer.stop();
    await probe.stop();
    await tearDownSlot(place);
  }
}

type Reading = Pick<
  FloorReport,
  'recvlogicalEventsPerSecond' | 'recvlogicalVersion' | 'serverDecodeEventsPerSecond'
>;

/** The drain's backlog once more, with a slot for each way to read it: the same WAL, from the same load. */
async function measureReading(means: FloorMeans, drain: Scenario, notes: string[]): Promise<Reading> {
  const { host, step, postgres } = means;
  const place = await means.freshPlace();
  const { databaseUrl, name, signal } = place;
  const decoded = `${name}_decode`;
  const recvlogical = await findRecvlogical(host.env['PATH'] ?? '');
  if (recvlogical === undefined)
    notes.push('pg_recvlogical is neither on PATH nor under /usr/lib/postgresql.');
  try {
    await setUpSlot(place);
    await postgres.query(createSlotSql({ slot: decoded }));
    const reader = { databaseUrl, slot: name, publication: name, env: host.env, signal };
    // What it takes to connect and to find nothing: no part of the reading.
    const idleSeconds = await noted(notes, 'pg_recvlogical', async () =>
      recvlogical === undefined
        ? undefined
        : await receive(recvlogical, { ...reader, endLsn: await walEnd(postgres) }),
    );
    step('the floor: writing the backlog');
    await loadBacklog(place, drain);
    const endLsn = await walEnd(postgres);
    await postgres.attempt('CHECKPOINT');
    step('the floor: pg_recvlogical');
    const seconds = await noted(notes, 'pg_recvlogical', async () =>
      recvlogical === undefined || idleSeconds === undefined
        ? undefined
        : (await receive(recvlogical, { ...reader, endLsn })) - idleSeconds,
    );
    step('the floor: decoding in the server');
    const decodeSeconds = await noted(notes, 'Decoding in the server', () =>
      decodeInServer(databaseUrl, { slot: decoded, publication: name }),
    );
    const perSecond = (taken: number) => Math.round(drain.backlogEvents / taken);
    return {
      ...(seconds === undefined || seconds <= 0 || recvlogical === undefined
        ? {}
        : { recvlogicalEventsPerSecond: perSecond(seconds), recvlogicalVersion: recvlogical.version }),
      ...(decodeSeconds === undefined ? {} : { serverDecodeEventsPerSecond: perSecond(decodeSeconds) }),
    };
  } finally {
    await dropSlot(postgres, decoded);
    await tearDownSlot(place);
  }
}

async function decodeInServer(
  databaseUrl: string,
  { slot, publication }: { readonly slot: string; readonly publication: string },
): Promise<number> {
  return await withPostgres(databaseUrl, async (postgres) => {
    const beganMs = performance.now();
    await postgres.query(
      `SELECT count(*) FROM pg_logical_slot_peek_binary_changes('${slot}', NULL, NULL, 'proto_version', '1', 'publication_names', '${publication}')`,
    );
    return (performance.now() - beganMs) / 1000;
  });
}

async function walEnd(postgres: ControlPostgres): Promise<string> {
  const [row] = await postgres.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
  return row?.lsn ?? '0/0';
}

/** A piece that can't be measured is a note, not the end of the report. */
async function noted<T>(
  notes: string[],
  what: string,
  measure: () => Promise<T | undefined>,
): Promise<T | undefined> {
  try {
    return await measure();
  } catch (error) {
    notes.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
