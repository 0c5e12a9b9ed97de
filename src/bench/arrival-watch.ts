import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchHost } from './bench-host.ts';
import type { ControlRedis } from './control-redis.ts';

/** Nothing new for this long: the relay has given up, or will never be done. */
const STALL_SECONDS = 20;
/** Some need long to start. */
const FIRST_SECONDS = 60;
/** A relay that needs longer than this for one run is cut off: its figure is known well enough by then. */
const TOTAL_SECONDS_MAX = 120;

export interface Arrivals {
  readonly timedOut: boolean;
  /** Microseconds of the shared clock, and entries that stood by then; ascending, the first with entries included. */
  readonly curve: readonly (readonly [atUs: number, entries: number])[];
}

/** Watches by XLEN, which costs Redis next to nothing, until `expected` entries stand. */
export async function untilArrived(
  { host, redis }: { readonly host: BenchHost; readonly redis: ControlRedis },
  options: {
    readonly streams: readonly string[];
    readonly expected: number;
    readonly pollMs: number;
    readonly signal: AbortSignal;
    /** Called at the first sight of more than `after` entries. */
    readonly onFirst?: (() => Promise<void>) | undefined;
  },
): Promise<Arrivals> {
  const { streams, expected, pollMs, signal, onFirst } = options;
  const curve: [number, number][] = [];
  const beganUs = host.nowUs();
  let newestUs = beganUs;
  let entries = 0;
  for (;;) {
    const length = await redis.lengthOf(streams);
    const atUs = host.nowUs();
    if (length > entries) {
      curve.push([atUs, length]);
      newestUs = atUs;
      if (entries === 0) await onFirst?.();
      entries = length;
    }
    if (entries >= expected) return { timedOut: false, curve };
    const isStalled = atUs - newestUs > (entries === 0 ? FIRST_SECONDS : STALL_SECONDS) * 1e6;
    if (isStalled || atUs - beganUs > TOTAL_SECONDS_MAX * 1e6) return { timedOut: true, curve };
    await sleep(pollMs, undefined, { signal });
  }
}
