import type { FaultProxy } from './fault-proxy.ts';
import { flushLsnOf, FrameReader } from './protocol-points.ts';

/** The status updates on their way to Postgres. */
export interface CountedStatuses {
  count: number;
  /** The longest time between two of them on one connection. */
  longestPauseMs: number;
}

/** Counts from the next connection on. */
export function countStatuses(proxy: FaultProxy): CountedStatuses {
  const counted: CountedStatuses = { count: 0, longestPauseMs: 0 };
  proxy.tap = () => {
    const frames = new FrameReader({ hasStartup: true });
    let lastAtMs: number | null = null;
    return {
      onUpstream(chunk) {
        for (const frame of frames.push(chunk)) {
          if (flushLsnOf(frame) === null) continue;
          const nowMs = performance.now();
          counted.longestPauseMs = Math.max(counted.longestPauseMs, nowMs - (lastAtMs ?? nowMs));
          lastAtMs = nowMs;
          counted.count += 1;
        }
        return chunk;
      },
    };
  };
  return counted;
}

/** How long `work` takes, and how many status updates a second went by meanwhile. */
export async function timeWithStatuses(
  statuses: CountedStatuses,
  work: () => Promise<void>,
): Promise<{ readonly ms: number; readonly perSecond: number }> {
  const countBefore = statuses.count;
  const startedAtMs = performance.now();
  await work();
  const ms = Math.round(performance.now() - startedAtMs);
  // A stop of a few milliseconds is no rate.
  return { ms, perSecond: Math.round((statuses.count - countBefore) / Math.max(1, ms / 1000)) };
}
