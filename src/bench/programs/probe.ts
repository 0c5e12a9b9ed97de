import { setTimeout as sleep } from 'node:timers/promises';
import type { LatencyReport } from '../bench-report.ts';
import { type LatencySample, latencyReport } from '../latency-report.ts';
import { findMarker } from '../marker.ts';
import { seededRandom } from '../seeded-random.ts';
import { ask, openBareRedis } from './bare-redis.ts';
import { type BareSlot, readSlot } from './bare-replication.ts';
import { nowUs, serveRequests } from './serve-requests.ts';

/** Measures what every relay has to wait for, without any relay: the CopyData of a row, and one answer of Redis. */
serveRequests({ watchCopyData, copyData, redisRoundTrip });

export interface RoundTripJob {
  readonly redisUrl: string;
  readonly key: string;
  readonly samples: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly seed: number;
}

const arrivals: LatencySample[] = [];

async function watchCopyData(slot: BareSlot): Promise<void> {
  await readSlot(slot, {
    insert: (bytes, start, end) => {
      const readUs = nowUs();
      const marker = findMarker(bytes.subarray(start, end));
      if (marker !== undefined)
        arrivals.push({ atUs: marker.intendedUs, latencyUs: readUs - marker.intendedUs });
    },
    chunkEnd: () => undefined,
  });
}

/** From the intended send time until the bytes of the row were there. */
function copyData({ fromUs }: { readonly fromUs: number }): LatencyReport | undefined {
  return latencyReport(
    arrivals
      .filter(({ atUs }) => atUs >= fromUs)
      .map(({ atUs, latencyUs }) => ({ atUs: atUs - fromUs, latencyUs })),
  );
}

/** One XADD of a usual size at a time, over a connection that does nothing else. */
async function redisRoundTrip(job: RoundTripJob): Promise<LatencyReport | undefined> {
  const socket = await openBareRedis(job.redisUrl);
  const random = seededRandom(job.seed);
  const value = 'x'.repeat(VALUE_BYTES);
  const samples: LatencySample[] = [];
  const beganUs = nowUs();
  for (let count = 0; count < job.samples + WARMUP; count += 1) {
    await sleep(job.minMs + random() * (job.maxMs - job.minMs));
    const sentUs = nowUs();
    await ask(socket, ['XADD', job.key, '*', 'd', value]);
    if (count >= WARMUP) samples.push({ atUs: sentUs - beganUs, latencyUs: nowUs() - sentUs });
  }
  socket.destroy();
  return latencyReport(samples);
}

const VALUE_BYTES = 300;
const WARMUP = 20;
