import { setTimeout as sleep } from 'node:timers/promises';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { RedisConnection } from '../sink/redis-connection.ts';
import type { StreamTrimmer, TrimStep } from '../sink/stream-trimmer.ts';
import type { TrimTally } from './trim-tally.ts';

export interface TrimRoundOptions {
  readonly trimmer: StreamTrimmer;
  readonly tally: TrimTally;
  nodeOf(key: string): RedisConnection;
  laneKeyOf(stream: string): string;
  /** There is no such stream, or it is empty. */
  missing(stream: string): Promise<void>;
  isStopped(): boolean;
}

/**
 * Trims each stream in steps so small that nobody waits for one, and with pauses, so that nobody waits for all of them.
 * False when a stream was left before it was done, for the others to have their turn.
 */
export async function runTrimRound(
  pages: AsyncIterable<readonly string[]>,
  options: TrimRoundOptions,
): Promise<boolean> {
  let isDone = true;
  for await (const page of pages) {
    for (const stream of page) {
      try {
        if (!(await trimStream(stream, options))) isDone = false;
      } catch (error) {
        if (!(error instanceof WalrelayError)) throw error;
        if (error.code === 'REDIS_KEY_TYPE') options.tally.addFailure(stream, error);
        else if (!OF_ITS_LANE.has(error.code)) throw error;
      }
      if (options.isStopped()) return isDone;
      await sleep(PAUSE_MS);
    }
  }
  return isDone;
}

async function trimStream(stream: string, options: TrimRoundOptions): Promise<boolean> {
  const { trimmer, tally } = options;
  const redis = options.nodeOf(stream);
  const keys = { lane: options.laneKeyOf(stream), stream };
  const first = await trimmer.step(redis, keys, ENTRIES_PER_STEP, null);
  if (first.length === 0 && first.firstId === '') {
    await options.missing(stream);
    return true;
  }
  let removed = first.removed;
  let last: TrimStep = first;
  let isDone = removed === 0 && !trimmer.mayHaveMore(stream, first);
  for (let steps = 1; !isDone && steps < STEPS_MAX && !options.isStopped(); steps += 1) {
    await sleep(PAUSE_MS);
    // A head that is larger than a step never goes by a step: then it goes whole.
    const limit = removed === 0 ? ENTRIES_PER_LARGE_STEP : ENTRIES_PER_STEP;
    last = await trimmer.step(redis, keys, limit, first);
    removed += last.removed;
    isDone = last.removed === 0;
  }
  tally.add(stream, { first, last, removed });
  return isDone;
}

/** A lane that is missing, or that went back, is for the relay itself to find. */
const OF_ITS_LANE: ReadonlySet<string> = new Set(['LANE_MISSING', 'CHAIN_GAP']);

/** Redis does nothing else meanwhile. In nodes of a hundred entries a fraction of a millisecond; with an entry in each, a few. */
const ENTRIES_PER_STEP = 1000;
/** Only where stream-node-max-entries was raised above a step, and so in few pieces. */
const ENTRIES_PER_LARGE_STEP = 100_000;
const PAUSE_MS = 2;
const STEPS_MAX = 500;
