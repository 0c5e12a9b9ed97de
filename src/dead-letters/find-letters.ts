import type { Settings } from '../config/settings.ts';
import { type DeadLetterHead, DeadLetterReader } from '../sink/dead-letter-reader.ts';
import { deadLetterStreams } from '../sink/dead-letter-streams.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { RedisConnection } from '../sink/redis-connection.ts';
import { StreamReader } from '../sink/stream-reader.ts';

/** Which dead letters are meant: all conditions together. */
export interface LetterFilter {
  readonly reason?: string | undefined;
  readonly outbox?: string | undefined;
  /** When it was written, by the clock of Redis: Unix time, both included. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** Where the dead letters of a relay are found. */
export interface LetterGround {
  readonly settings: Pick<Settings, 'deadLetterStream' | 'redisMode'>;
  readonly redisOf: (key: string) => RedisConnection;
  /** Asked for on a cluster alone: the state lists the lanes. */
  readonly readLane: () => Promise<Pick<LaneState, 'parts'> | null>;
}

/** The heads of the dead letters, lane by lane, the oldest of each first; a page at a time. */
export async function* findLetters(
  { settings, redisOf, readLane }: LetterGround,
  filter: LetterFilter = {},
): AsyncGenerator<readonly DeadLetterHead[]> {
  const { reason, outbox, fromMs, toMs } = filter;
  const lane = settings.redisMode === 'cluster' ? await readLane() : null;
  for (const key of deadLetterStreams(settings.deadLetterStream, lane ?? {})) {
    const redis = redisOf(key);
    // Whoever only compares, where there never were any, needs no right to read them.
    if ((await new StreamReader(redis).info(key)) === null) continue;
    const from = fromMs === undefined ? '-' : String(fromMs);
    const to = toMs === undefined ? '+' : String(toMs);
    for await (const heads of new DeadLetterReader(redis, key).heads(from, to)) {
      const fitting = heads.filter(
        (head) =>
          (reason === undefined || head.reason === reason) &&
          (outbox === undefined || head.outbox === outbox),
      );
      if (fitting.length > 0) yield fitting;
    }
  }
}
