import { createHash } from 'node:crypto';
import { type Lsn, lsnToHex } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import {
  ANNOTATE_SCRIPT,
  APPEND_SCRIPT,
  FENCE_SCRIPT,
  FLOOR_SCRIPT,
  WRITE_LANE_SCRIPT,
} from './append-script.ts';
import type { Batch } from './batch.ts';
import { describePackedEvent } from './packed-event.ts';
import { encodeCommandHead } from './command-head.ts';
import { type LaneState, laneFromFields, laneToFields } from './lane-state.ts';
import type { RedisConnection } from './redis-connection.ts';
import { eventRefused, isAboutOneEvent, replyError } from './redis-reply.ts';

/**
 * The lane as one session sees it: reads its state, raises the fence, appends batches, notes the floor. All writing
 * goes through the scripts, which check epoch, fence and chain on the server.
 */
export class Lane {
  readonly #redis: RedisConnection;
  readonly #key: string;
  #epoch = '';
  #fence = '';

  constructor(redis: RedisConnection, key: string) {
    this.#redis = redis;
    this.#key = key;
  }

  /** Null when there is no lane state under the key. */
  async read(): Promise<LaneState | null> {
    const reply = await this.#redis.command(`reading the lane state ${this.#key}`, 'HGETALL', this.#key);
    return laneFromFields(this.#key, pairsToRecord(reply));
  }

  /** Creates the lane, or replaces the one in epoch `replaces`. False when somebody else was first. */
  async write(lane: LaneState, replaces: number | null): Promise<boolean> {
    const fields = Object.entries(laneToFields(lane)).flat();
    const expected = replaces === null ? '' : String(replaces);
    return (await this.#run('writing the lane state', WRITE_LANE_SCRIPT, expected, ...fields)) === 1;
  }

  /** Loads the scripts, so that the first batch pays no extra round trip. */
  async loadScripts(): Promise<void> {
    await Promise.all(
      [APPEND_SCRIPT, FLOOR_SCRIPT].map((script) =>
        this.#redis.command('loading a script', 'SCRIPT', 'LOAD', script),
      ),
    );
  }

  /** Raises the fence (I3) and returns the state as it is under it: from here on no other session can write. */
  async raiseFence(epoch: number, holder: string): Promise<LaneState> {
    const reply = await this.#run('raising the fence', FENCE_SCRIPT, String(epoch), holder);
    const lane = laneFromFields(this.#key, pairsToRecord(reply));
    if (lane === null) throw new WalrelayError('LANE_MISSING', `the lane state ${this.#key} is gone`);
    this.#epoch = String(lane.epoch);
    this.#fence = String(lane.fence);
    return lane;
  }

  /**
   * Appends a batch. Resolves when every event of it stands in its stream; the number that Redis had already is
   * returned. Rejects otherwise: with a refusal of one event, EVENT_REFUSED, and everything before it stands.
   */
  async append(batch: Batch): Promise<{ readonly skipped: number }> {
    const { previous, last, count, packed } = batch.seal();
    const head = encodeCommandHead(
      [
        'EVALSHA',
        APPEND_SHA,
        String(batch.keys.length + 1),
        this.#key,
        ...batch.keys,
        this.#epoch,
        this.#fence,
        previous,
        last,
        String(count),
      ],
      packed.length,
    );
    const reply = await this.#redis.commandFrame('a batch', 'EVALSHA', batch.frame(head));
    const [appended, skipped, refusal] = readAppendReply(reply);
    if (refusal !== null) throw refusedEvent(refusal, batch, packed, appended + skipped);
    if (appended + skipped !== count) {
      throw new WalrelayError('BUG', `Redis answered for ${appended + skipped} of ${count} events`);
    }
    return { skipped };
  }

  /** Notes what is about to be confirmed to Postgres (I4). */
  async noteFloor(floorLsn: Lsn): Promise<void> {
    await this.#redis.command(
      'noting the floor',
      'EVALSHA',
      FLOOR_SHA,
      1,
      this.#key,
      this.#epoch,
      this.#fence,
      lsnToHex(floorLsn),
    );
  }

  /** Sets facts of the lane that changed with good reason (a promotion's new timeline). */
  async annotate(facts: Readonly<Record<string, string>>): Promise<void> {
    await this.#run(
      'noting a new timeline',
      ANNOTATE_SCRIPT,
      this.#epoch,
      this.#fence,
      ...Object.entries(facts).flat(),
    );
  }

  async #run(doing: string, script: string, ...args: string[]): Promise<unknown> {
    return this.#redis.command(doing, 'EVAL', script, 1, this.#key, ...args);
  }
}

const APPEND_SHA = createHash('sha1').update(APPEND_SCRIPT).digest('hex');
const FLOOR_SHA = createHash('sha1').update(FLOOR_SCRIPT).digest('hex');

function readAppendReply(reply: unknown): [appended: number, skipped: number, refusal: string | null] {
  if (Array.isArray(reply)) {
    const [appended, skipped, refusal] = reply as unknown[];
    if (typeof appended === 'number' && typeof skipped === 'number') {
      if (reply.length === 2) return [appended, skipped, null];
      if (reply.length === 3 && typeof refusal === 'string') return [appended, skipped, refusal];
    }
  }
  throw new WalrelayError(
    'REDIS_REFUSED',
    'Redis gave an answer to a batch that the append script never gives',
  );
}

function refusedEvent(refusal: string, batch: Batch, packed: Buffer, index: number): WalrelayError {
  if (!isAboutOneEvent(refusal)) return replyError(refusal, 'an event');
  const event = describePackedEvent(packed, index, batch.keys);
  const { id, stream, lsn, seq } = event;
  return eventRefused(refusal, { id, stream, where: `${lsn} #${seq}` }, { lsn, seq });
}

function pairsToRecord(reply: unknown): Record<string, string> {
  if (reply !== null && typeof reply === 'object' && !Array.isArray(reply))
    return reply as Record<string, string>;
  const record: Record<string, string> = {};
  const list = Array.isArray(reply) ? reply : [];
  for (let index = 0; index + 1 < list.length; index += 2)
    record[String(list[index])] = String(list[index + 1]);
  return record;
}
