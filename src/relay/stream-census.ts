import type { Settings } from '../config/settings.ts';
import { createDeferred } from '../core/deferred.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import type { RedisNodes } from '../sink/redis-nodes.ts';
import { StreamNames } from '../sink/stream-names.ts';
import type { RelayShape } from './relay-shape.ts';

/**
 * Counts the streams whose names come from data: whoever may insert a row could make as many as there are rows, each a key
 * in Redis that nobody reads. An event that would make one too many can't pass; streams that are known go on. What is
 * known stands in Redis, so that a restart is no way around the limit, and no relay refuses what another one has made.
 */
export class StreamCensus {
  readonly #max: number;
  readonly #known: Set<string>;
  readonly #options: CensusOptions;
  readonly #failed = createDeferred<WalrelayError>();

  constructor(max: number, known: Set<string>, options: CensusOptions) {
    this.#max = max;
    this.#known = known;
    this.#options = options;
    this.#warnAhead();
  }

  /** Resolves with the reason when a name could not be remembered. Never rejects. */
  get failed(): Promise<WalrelayError> {
    return this.#failed.promise;
  }

  /** Throws EVENT_STREAM_LIMIT for a new name when there are as many as may be. */
  admit(name: string): void {
    if (this.#known.has(name)) return;
    if (this.#known.size >= this.#max) {
      throw new WalrelayError(
        'EVENT_STREAM_LIMIT',
        `the event's stream ${JSON.stringify(name)} would be a new one, and ${this.#known.size} are known; at most ${this.#max} may be`,
        { facts: { streamsMax: this.#max } },
      );
    }
    this.#known.add(name);
    this.#options.note(name).catch((error: unknown) => this.#failed.resolve(toWalrelayError(error)));
    this.#warnAhead();
  }

  #warnAhead(): void {
    if (this.#known.size < this.#max * WARN_SHARE) return;
    this.#options.warnOnce(
      `nine tenths of the streams that may be (WALRELAY_STREAMS_MAX=${this.#max}) are there: an event that would make one more than that can't pass`,
    );
  }
}

export interface CensusOptions {
  /** To be remembered, in front of the stream's first entry. */
  note(name: string): Promise<void>;
  warnOnce(warning: string): void;
}

/** Under the fence. Null where nothing is counted: no limit, or no name comes from data. */
export async function openCensus(session: CountedSession, redis: RedisNodes): Promise<StreamCensus | null> {
  const { settings, shape } = session;
  const { streamsMax, metaKey } = settings;
  const isNamedByData = shape.outboxes.some(({ outbox }) =>
    outbox.namingRoutes.some(({ target }) => target?.isNamedByData),
  );
  if (streamsMax === 0 || !isNamedByData) return null;
  const names = new StreamNames(redis, metaKey);
  return new StreamCensus(streamsMax, await names.read(), {
    note: (name) => names.add(name),
    warnOnce: (warning) => session.warnOnce(warning),
  });
}

interface CountedSession {
  readonly settings: Settings;
  readonly shape: RelayShape;
  warnOnce(warning: string): void;
}

const WARN_SHARE = 0.9;
