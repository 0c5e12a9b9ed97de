import { Redis, type RedisOptions } from 'ioredis';
import type { DeliveryCheck, LatencyReport } from '../bench-report.ts';
import { DeliveryChecker } from '../delivery-checker.ts';
import { type LatencySample, latencyReport } from '../latency-report.ts';
import { type LoadPlan, placeOfEvent } from '../load-plan.ts';
import { markerOfFields } from '../marker.ts';
import { nowUs, serveRequests } from './serve-requests.ts';

/**
 * A consumer that knows nothing of relays: blocks in XREAD and notes when it has each entry. Afterwards it reads
 * every stream from its beginning and holds it against what was committed.
 */
serveRequests({ watch, count: readCount, report, check });

export interface WatchJob {
  readonly redisUrl: string;
  readonly streams: readonly string[];
}

export interface ReaderCount {
  readonly seen: number;
  /** When the last one was read; 0 before the first. */
  readonly lastSeenUs: number;
}

export interface ReportJob {
  /** Events that were meant to be sent before are not counted: the warm-up. */
  readonly fromUs: number;
}

export interface ReaderLatencies {
  readonly latency?: LatencyReport;
  readonly serviceLatency?: LatencyReport;
}

export interface CheckJob {
  readonly redisUrl: string;
  readonly streams: readonly string[];
  readonly plan: Pick<LoadPlan, 'aggregatesPerProducer' | 'streams' | 'payloadBytes'>;
  readonly committed: readonly (readonly [producer: number, count: number])[];
  readonly timedOut: boolean;
}

type Entries = [id: Buffer, fields: Buffer[]][];

const intendedUs: number[] = [];
const sentUs: number[] = [];
const seenUs: number[] = [];

async function watch({ redisUrl, streams }: WatchJob): Promise<void> {
  const redis = new Redis(redisUrl, OPTIONS);
  await redis.ping();
  const lastIds = new Map<string, Buffer | string>();
  for (const stream of streams) {
    // What stands there already was a backlog: reading it would take until long after the first measured event.
    const [last] = await redis.xrevrange(stream, '+', '-', 'COUNT', 1);
    lastIds.set(stream, last?.[0] ?? '0-0');
  }
  const read = async (): Promise<[stream: Buffer, entries: Entries][] | null> =>
    (await redis.callBuffer(
      'XREAD',
      'COUNT',
      COUNT_MAX,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      ...lastIds.keys(),
      ...lastIds.values(),
    )) as never;
  const first = read();
  void (async () => {
    for (let pending = first; ; pending = read()) {
      const reply = await pending;
      const readUs = nowUs();
      for (const [stream, entries] of reply ?? []) {
        for (const [, fields] of entries) note(fields, readUs);
        const last = entries.at(-1);
        if (last !== undefined) lastIds.set(stream.toString(), last[0]);
      }
    }
  })();
}

function note(fields: Buffer[], readUs: number): void {
  const marker = markerOfFields(fields);
  if (marker === undefined) return;
  intendedUs.push(marker.intendedUs);
  sentUs.push(marker.sentUs);
  seenUs.push(readUs);
}

function readCount(): ReaderCount {
  return { seen: seenUs.length, lastSeenUs: seenUs.at(-1) ?? 0 };
}

function report({ fromUs }: ReportJob): ReaderLatencies {
  const latencies: LatencySample[] = [];
  const serviceLatencies: LatencySample[] = [];
  for (const [index, dueUs] of intendedUs.entries()) {
    if (dueUs < fromUs) continue;
    const atUs = dueUs - fromUs;
    const readUs = seenUs[index] as number;
    latencies.push({ atUs, latencyUs: readUs - dueUs });
    serviceLatencies.push({ atUs, latencyUs: readUs - (sentUs[index] as number) });
  }
  const latency = latencyReport(latencies);
  const serviceLatency = latencyReport(serviceLatencies);
  return latency === undefined || serviceLatency === undefined ? {} : { latency, serviceLatency };
}

async function check({ redisUrl, streams, plan, committed, timedOut }: CheckJob): Promise<DeliveryCheck> {
  const redis = new Redis(redisUrl, OPTIONS);
  try {
    const checker = new DeliveryChecker(
      new Map(committed),
      (producer, number) => placeOfEvent(plan, producer, number).aggregate,
    );
    const count = Math.max(1, Math.min(COUNT_MAX, Math.floor(CHECK_BYTES_MAX / plan.payloadBytes)));
    for (const stream of streams) {
      for (let from = '-'; ; ) {
        const entries = (await redis.xrangeBuffer(stream, from, '+', 'COUNT', count)) as Entries;
        for (const [, fields] of entries) {
          const marker = markerOfFields(fields);
          if (marker === undefined) checker.addForeign();
          else checker.add(marker.producer, marker.number);
        }
        const last = entries.at(-1);
        if (last === undefined || entries.length < count) break;
        from = `(${last[0].toString()}`;
      }
    }
    return checker.result(timedOut);
  } finally {
    redis.disconnect();
  }
}

const COUNT_MAX = 1000;
/** Of one reply, about: Redis builds it in memory. */
const CHECK_BYTES_MAX = 8 * 1024 * 1024;
const BLOCK_MS = 1000;
/** With RESP3 the reply of XREAD is a map, of another shape in each version of the library. */
const OPTIONS = {
  protocol: 2,
  retryStrategy: () => null,
  maxRetriesPerRequest: 0,
  noDelay: true,
  connectionName: 'walrelay-bench-reader',
} satisfies RedisOptions;
