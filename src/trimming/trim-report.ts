import type { WalrelayError } from '../core/walrelay-error.ts';
import type { Logger } from '../ops/logger.ts';
import type { OverruledLength } from '../route/stream-lengths.ts';
import type { TrimMetrics } from '../ops/trim-metrics.ts';
import type { TrimTally } from './trim-tally.ts';

/** Tells log and metrics what the rounds of trimming did: what stays as it is, once and then seldom. */
export class TrimReport {
  readonly #logger: Logger;
  readonly #metrics: TrimMetrics;
  /** What was said last under each message, and when. */
  readonly #said = new Map<string, { readonly about: string; readonly atMs: number }>();

  constructor(logger: Logger, metrics: TrimMetrics) {
    this.#logger = logger;
    this.#metrics = metrics;
  }

  round(tally: TrimTally, seconds: number): void {
    const { entries, trimmedStreams, heldUp, heldUpCount, withoutGroups, withoutGroupsCount, failures } =
      tally;
    this.#metrics.recordRound({ ...tallyFacts(tally), seconds, atMs: Date.now() });
    if (entries > 0) {
      this.#logger.info(
        { entries, streams: trimmedStreams, seconds: Math.round(seconds * 1000) / 1000 },
        'trimmed',
      );
    }
    this.#sayOnce('warn', 'consumer groups hold up the trimming', {
      about: heldUp.map(({ stream, group }) => `${stream} ${group}`),
      facts: { heldUp, count: heldUpCount, hint: HELD_UP_HINT },
    });
    this.#sayOnce('info', 'streams without a consumer group that counts are not trimmed', {
      about: withoutGroups,
      facts: { streams: withoutGroups, count: withoutGroupsCount },
    });
    this.#sayOnce('warn', 'streams could not be trimmed', {
      about: [...failures.keys()],
      facts: {
        count: tally.failureCount,
        reasons: [...failures].map(([stream, error]) => `${stream}: ${error.message}`),
      },
    });
  }

  /** Streams that keep more than the settings say at one place. */
  overruled(streams: readonly OverruledLength[]): void {
    const some = streams.slice(0, EXAMPLES_MAX);
    this.#sayOnce(
      'warn',
      'a trimMaxLength does not apply: another route may name the stream too, and keeps more',
      {
        about: some.map(({ stream, trimMaxLength, applied }) => `${stream} ${trimMaxLength} ${applied}`),
        facts: { streams: some, count: streams.length },
      },
    );
  }

  /** A whole round, or what comes before it. The relay goes on. */
  failed(error: WalrelayError): void {
    this.#metrics.recordFailure();
    const { code, message, hint, disposition } = error;
    // The session meets the same trouble, and says it at the level that it deserves.
    this.#sayOnce(disposition === 'retry' ? 'debug' : 'warn', 'the streams could not be trimmed', {
      about: [code, message],
      facts: { code, reason: message, hint: code === 'REDIS_PRIVILEGE' ? PRIVILEGE_HINT : hint },
    });
  }

  #sayOnce(
    level: 'debug' | 'info' | 'warn',
    message: string,
    { about, facts }: { readonly about: readonly string[]; readonly facts: object },
  ): void {
    if (about.length === 0) {
      this.#said.delete(message);
      return;
    }
    const text = about.toSorted().join('\n');
    const last = this.#said.get(message);
    const nowMs = performance.now();
    if (last !== undefined && last.about === text && nowMs - last.atMs < SAY_AGAIN_MS) return;
    this.#said.set(message, { about: text, atMs: nowMs });
    this.#logger[level](facts, message);
  }
}

function tallyFacts({ entries, streams, withoutGroupsCount, heldUpCount, slowestMs }: TrimTally) {
  return { entries, streams, withoutGroups: withoutGroupsCount, heldUp: heldUpCount, slowestMs };
}

const EXAMPLES_MAX = 10;
const SAY_AGAIN_MS = 3_600_000;
const HELD_UP_HINT =
  'See to its consumers (XPENDING tells who holds what). A group that nobody reads any more: XGROUP DESTROY it, or name it in ' +
  'WALRELAY_TRIM_IGNORED_GROUPS.';
const PRIVILEGE_HINT =
  'Grant the Redis user +xtrim +xlen +xrange +xpending +xinfo|stream +xinfo|groups +time +sadd +srem +sscan on the streams and on the lane state.';
