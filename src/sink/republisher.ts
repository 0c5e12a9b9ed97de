import { type Lsn, lsnToHex } from '../core/lsn.ts';
import type { PublishBatch } from './publish-batch.ts';
import { readPublishOutcome } from './publisher.ts';
import type { RedisConnection } from './redis-connection.ts';
import { repairScript, replayScript } from './republish-script.ts';

/** Appends batches of table rows a second way. Resolves when all of a batch stand, with their number. */
export interface Republisher {
  publish(batch: PublishBatch, idOf: (event: number) => string): Promise<number>;
}

/** For `walrelay replay`: copies, appended whatever stands there. */
export class Replayer implements Republisher {
  readonly #redis: RedisConnection;
  readonly #nowMs: () => number;

  constructor(redis: RedisConnection, nowMs: () => number) {
    this.#redis = redis;
    this.#nowMs = nowMs;
  }

  async publish(batch: PublishBatch, idOf: (event: number) => string): Promise<number> {
    const { count, packed } = batch.seal();
    const at = new Date(this.#nowMs()).toISOString();
    const keys = batch.keys;
    const reply = await this.#redis.command(
      'a replay',
      'EVAL',
      replayScript(batch.shapes),
      keys.length,
      ...keys,
      count,
      packed,
      at,
    );
    return requireAll(reply, batch, idOf);
  }
}

/** What a repair expects of a lane: that it did not go back, and that nobody else has repaired anything. */
export interface SeenLane {
  readonly key: string;
  readonly epoch: number;
  readonly floorLsn: Lsn;
  /** How often something was repaired, before the streams were read. */
  readonly recoveries: string;
}

/** For `audit --repair`: appended only while the lane is as it was when the streams were read. */
export class Repairer implements Republisher {
  readonly #redis: RedisConnection;
  readonly #nowMs: () => number;
  readonly #seen: SeenLane;
  #recoveries: bigint;

  constructor(redis: RedisConnection, seen: SeenLane, nowMs: () => number) {
    this.#redis = redis;
    this.#seen = seen;
    this.#recoveries = BigInt(seen.recoveries);
    this.#nowMs = nowMs;
  }

  async publish(batch: PublishBatch, idOf: (event: number) => string): Promise<number> {
    const { count, packed } = batch.seal();
    const reply = await this.#redis.command(
      'a repair',
      'EVAL',
      repairScript(batch.shapes),
      batch.keys.length + 1,
      ...batch.keys,
      this.#seen.key,
      this.#seen.epoch,
      lsnToHex(this.#seen.floorLsn),
      String(this.#recoveries),
      count,
      packed,
      new Date(this.#nowMs()).toISOString(),
    );
    this.#recoveries += 1n;
    return requireAll(reply, batch, idOf);
  }
}

function requireAll(reply: unknown, batch: PublishBatch, idOf: (event: number) => string): number {
  const { accepted, refusal } = readPublishOutcome(reply, batch, idOf);
  if (refusal !== null) throw refusal;
  return accepted;
}
