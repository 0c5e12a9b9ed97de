import { WalrelayError } from '../core/walrelay-error.ts';
import type { LoadedScript } from './loaded-script.ts';
import type { PackedShapes } from './packed-shapes.ts';
import type { PublishBatch } from './publish-batch.ts';
import { compilePublishScript } from './publish-script.ts';
import type { RedisConnection } from './redis-connection.ts';
import { eventRefused, isAboutOneEvent, replyError, unknownReply } from './redis-reply.ts';

export interface PublishOutcome {
  /** How many events of the batch stand in their streams, from its first on. */
  readonly accepted: number;
  /** Why the one after them does not; null when all stand. */
  readonly refusal: WalrelayError | null;
}

/** Sends batches of polled rows. Knows nothing of where they came from. */
export class Publisher {
  readonly shapes: PackedShapes;
  readonly #redis: RedisConnection;
  readonly #script: LoadedScript;

  constructor(redis: RedisConnection, shapes: PackedShapes) {
    this.#redis = redis;
    this.shapes = shapes;
    this.#script = compilePublishScript(shapes);
  }

  /** So that the first batch pays no extra round trip. */
  async loadScript(): Promise<void> {
    await this.#script.load(this.#redis);
  }

  /**
   * Publishes a batch. `idOf` names an event in an error. Rejects when Redis took nothing of it, or when nobody knows
   * what it took (no answer, connection lost): then the events have to be published again.
   */
  async publish(batch: PublishBatch, idOf: (event: number) => string): Promise<PublishOutcome> {
    const { count, packed } = batch.seal();
    const reply = await this.#redis.command(
      'a batch',
      'EVALSHA',
      this.#script.sha,
      batch.keys.length,
      ...batch.keys,
      count,
      packed,
    );
    return readPublishOutcome(reply, batch, idOf);
  }
}

/** What the script's answer says of a batch that was sealed. */
export function readPublishOutcome(
  reply: unknown,
  batch: PublishBatch,
  idOf: (event: number) => string,
): PublishOutcome {
  const [accepted, refusal] = readPublishReply(reply);
  if (refusal !== null && accepted < batch.eventCount) {
    return { accepted, refusal: refused(refusal, idOf(accepted), batch.streamOf(accepted)) };
  }
  if (refusal !== null || accepted !== batch.eventCount) {
    throw new WalrelayError('BUG', `Redis answered for ${accepted} of ${batch.eventCount} events`);
  }
  return { accepted, refusal: null };
}

/** Strict: an answer that the script never gives must not count as delivered (I8). */
export function readPublishReply(reply: unknown): [accepted: number, refusal: string | null] {
  if (Array.isArray(reply)) {
    const [accepted, refusal] = reply as unknown[];
    if (typeof accepted === 'number') {
      if (reply.length === 1) return [accepted, null];
      if (reply.length === 2 && typeof refusal === 'string') return [accepted, refusal];
    }
  }
  throw unknownReply('a batch');
}

function refused(refusal: string, eventId: string, stream: string): WalrelayError {
  if (!isAboutOneEvent(refusal)) return replyError(refusal, 'an event');
  return eventRefused(refusal, { id: eventId, stream });
}
