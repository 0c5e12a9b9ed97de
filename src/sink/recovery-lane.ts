import { createHash } from 'node:crypto';
import { formatLsn, type Lsn } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { type LaneState, laneToFields } from './lane-state.ts';
import type { PublishBatch } from './publish-batch.ts';
import { type PublishOutcome, readPublishOutcome } from './publisher.ts';
import { BEGIN_RECOVERY_SCRIPT, END_RECOVERY_SCRIPT, RECOVER_SCRIPT } from './recovery-script.ts';
import type { RedisConnection } from './redis-connection.ts';

/** The lane as a recovery sees it: taken from every relay, appended to, and handed back in a new epoch. */
export class RecoveryLane {
  readonly #redis: RedisConnection;
  readonly #key: string;
  #epoch = '';
  #fence = '';

  constructor(redis: RedisConnection, key: string) {
    this.#redis = redis;
    this.#key = key;
  }

  /**
   * Raises the fence and notes that a recovery is under way: from here on no relay can write, and none starts. `lane` is
   * the state as it was read (null: none, then `fresh` is written). Throws EPOCH_CHANGED when it has changed since.
   */
  async begin(
    lane: LaneState | null,
    fresh: LaneState,
    note: { readonly holder: string; readonly progress: string },
  ): Promise<void> {
    const reply = await this.#redis.command(
      'the beginning of a recovery',
      'EVAL',
      BEGIN_RECOVERY_SCRIPT,
      1,
      this.#key,
      lane === null ? '' : String(lane.epoch),
      note.holder,
      note.progress,
      ...Object.entries(laneToFields(fresh)).flat(),
    );
    if (!Array.isArray(reply)) throw new WalrelayError('REDIS_REFUSED', 'Redis gave no epoch and no fence');
    [this.#epoch, this.#fence] = reply.map(String) as [string, string];
    await this.#redis.command('loading a script', 'SCRIPT', 'LOAD', RECOVER_SCRIPT);
  }

  /**
   * Appends a batch of rows that were committed before `consistentLsn`. Rejects when Redis took nothing of it, or when
   * nobody knows what it took: the next recovery finds that by the ids.
   */
  async append(
    batch: PublishBatch,
    options: {
      readonly consistentLsn: Lsn;
      readonly progress: string;
      readonly idOf: (event: number) => string;
    },
  ): Promise<PublishOutcome> {
    const { count, packed } = batch.seal();
    const reply = await this.#redis.command(
      'a batch',
      'EVALSHA',
      RECOVER_SHA,
      batch.keys.length + 1,
      ...batch.keys,
      this.#key,
      this.#epoch,
      this.#fence,
      count,
      packed,
      formatLsn(options.consistentLsn),
      options.progress,
    );
    return readPublishOutcome(reply, batch, options.idOf);
  }

  /** Writes the lane that a relay goes on from, and ends the recovery, as one block. */
  async end(lane: LaneState): Promise<void> {
    // The fence stays what it is: whoever is paused with an older one must go on being refused.
    const { fence: _, ...fields } = laneToFields(lane);
    await this.#redis.command(
      'the end of the recovery',
      'EVAL',
      END_RECOVERY_SCRIPT,
      1,
      this.#key,
      this.#epoch,
      this.#fence,
      ...Object.entries(fields).flat(),
    );
  }
}

const RECOVER_SHA = createHash('sha1').update(RECOVER_SCRIPT).digest('hex');
