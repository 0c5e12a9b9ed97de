import { type Lsn, lsnToHex } from '../core/lsn.ts';
import { comparePositions, ORIGIN, type Position, positionToHex } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { ANNOTATE_SCRIPT, FENCE_SCRIPT, FLOOR_SCRIPT, WRITE_LANE_SCRIPT } from './append-script.ts';
import type { Batch } from './batch.ts';
import { describePackedEvent } from './packed-event.ts';
import { encodeCommandHead } from './command-head.ts';
import { type LanePartState, type LaneState, laneFromFields, laneToFields } from './lane-state.ts';
import { LoadedScript } from './loaded-script.ts';
import type { PackedShapes } from './packed-shapes.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisNode } from './redis-nodes.ts';
import { eventRefused, isAboutOneEvent, replyError, replyText, unknownReply } from './redis-reply.ts';

/**
 * A lane as one session sees it: reads its state, raises the fence, appends batches, notes the floor. All writing
 * goes through the scripts, which check epoch, fence and chain on the server.
 */
export class Lane {
  readonly key: string;
  readonly node: RedisNode;
  /** Null: nothing is appended. */
  readonly #appending: Appending | null;
  #epoch = '';
  #fence = '';
  /** The position up to which Redis has answered for in this session, or held when it began. */
  #acceptedPosition: Position = ORIGIN;

  constructor(node: RedisNode, key: string, appending: Appending | null) {
    this.node = node;
    this.#appending = appending;
    this.key = key;
  }

  get acceptedPosition(): Position {
    return this.#acceptedPosition;
  }

  async readFields(): Promise<Record<string, string>> {
    const reply = await this.node.writer.command(`reading the lane state ${this.key}`, 'HGETALL', this.key);
    return pairsToRecord(reply);
  }

  /** Null when there is no lane state under the key. */
  async read(): Promise<LaneState | null> {
    return laneFromFields(this.key, await this.readFields());
  }

  /** Creates the lane, or replaces the one in epoch `replaces`. False when somebody else was first. */
  async write(lane: LaneState, replaces: number | null): Promise<boolean> {
    const fields = Object.entries(laneToFields(lane)).flat();
    const expected = replaces === null ? '' : String(replaces);
    return (await this.run('writing the lane state', WRITE_LANE_SCRIPT, expected, ...fields)) === 1;
  }

  /**
   * Raises the fence (I3), to `atLeast` or more, and returns the fields as they are under it: from here on no other
   * session can write.
   */
  async raiseFence(epoch: number, holder: string, atLeast = 0): Promise<Record<string, string>> {
    const reply = await this.run('raising the fence', FENCE_SCRIPT, String(epoch), holder, String(atLeast));
    return pairsToRecord(reply);
  }

  /** What this session writes with, and what stands in the lane. */
  hold(state: Pick<LanePartState, 'epoch' | 'fence' | 'watermark'>): void {
    this.#epoch = String(state.epoch);
    this.#fence = String(state.fence);
    this.#acceptedPosition = state.watermark;
  }

  /**
   * Appends a batch. Resolves when every event of it stands in its stream; the number that Redis had already is
   * returned. Rejects otherwise: with a refusal of one event, EVENT_REFUSED, and everything before it stands.
   */
  async append(batch: Batch): Promise<{ readonly skipped: number }> {
    if (this.#appending === null) throw new WalrelayError('BUG', 'a lane that was opened for looking only');
    const { script, shapes } = this.#appending;
    const { previous, last, count, packed } = batch.seal();
    const head = encodeCommandHead(
      [
        'EVALSHA',
        script.sha,
        String(batch.keys.length + 1),
        this.key,
        ...batch.keys,
        this.#epoch,
        this.#fence,
        previous,
        last,
        String(count),
      ],
      packed.length,
    );
    const reply = await this.node.writer.commandFrame('a batch', 'EVALSHA', batch.frame(head));
    const [appended, skipped, refusal] = readAppendReply(reply);
    if (refusal !== null) throw refusedEvent(refusal, batch, packed, appended + skipped, shapes);
    if (appended + skipped !== count) {
      throw new WalrelayError('BUG', `Redis answered for ${appended + skipped} of ${count} events`);
    }
    const { lastPosition } = batch;
    if (comparePositions(lastPosition, this.#acceptedPosition) > 0) this.#acceptedPosition = lastPosition;
    return { skipped };
  }

  /**
   * Notes what is about to be confirmed to Postgres (I4), where the lane holds all that was accepted; further fields go
   * along. Over the connection that then waits until it is durable.
   */
  async noteFloor(floorLsn: Lsn, fields: Readonly<Record<string, string>> = {}): Promise<void> {
    const extra = Object.entries(fields).flat();
    const reply = await this.node.waiter.command(
      'noting the floor',
      'EVALSHA',
      FLOOR.sha,
      1,
      this.key,
      this.#epoch,
      this.#fence,
      lsnToHex(floorLsn),
      positionToHex(this.#acceptedPosition),
      ...extra,
    );
    // Postgres is told next: anything but the script's own word proves nothing.
    if (reply !== 'OK') throw unknownReply('the noting of the floor');
  }

  /** Sets facts of the lane that changed with good reason: a promotion's new timeline, how far a recovery has come. */
  async annotate(facts: Readonly<Record<string, string>>): Promise<void> {
    const doing = `noting ${Object.keys(facts).join(' and ')} in the lane state`;
    const reply = await this.runHeld(doing, ANNOTATE_SCRIPT, ...Object.entries(facts).flat());
    if (reply !== 'OK') throw unknownReply(doing);
  }

  /** Runs a script on the lane that begins by checking epoch and fence. */
  async runHeld(doing: string, script: string, ...args: string[]): Promise<unknown> {
    return this.run(doing, script, this.#epoch, this.#fence, ...args);
  }

  /** Runs a loaded script on streams of the lane; the lane's key comes behind theirs. It checks epoch and fence first. */
  async runOnStreams(
    doing: string,
    { sha }: LoadedScript,
    streams: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    const keys = [...streams, this.key];
    const { writer } = this.node;
    return writer.command(doing, 'EVALSHA', sha, keys.length, ...keys, this.#epoch, this.#fence, ...args);
  }

  async run(doing: string, script: string, ...args: string[]): Promise<unknown> {
    return this.node.writer.command(doing, 'EVAL', script, 1, this.key, ...args);
  }
}

/** The shapes of a relay's entries, and the script that was generated from them. */
export interface Appending {
  readonly shapes: PackedShapes;
  readonly script: LoadedScript;
}

/** Loads the scripts of the hot path. */
export async function loadScripts(redis: RedisConnection, appending: Appending | null): Promise<void> {
  await Promise.all([appending?.script.load(redis), FLOOR.load(redis)]);
}

const FLOOR = new LoadedScript(FLOOR_SCRIPT);

function readAppendReply(reply: unknown): [appended: number, skipped: number, refusal: string | null] {
  if (Array.isArray(reply)) {
    const [appended, skipped, refusal] = reply as unknown[];
    if (typeof appended === 'number' && typeof skipped === 'number') {
      if (reply.length === 2) return [appended, skipped, null];
      if (reply.length === 3 && typeof refusal === 'string') return [appended, skipped, refusal];
    }
  }
  throw unknownReply('a batch');
}

function refusedEvent(
  refusal: string,
  batch: Batch,
  packed: Buffer,
  index: number,
  shapes: PackedShapes,
): WalrelayError {
  if (!isAboutOneEvent(refusal)) return replyError(refusal, 'an event');
  const event = describePackedEvent(packed, index, batch.keys, shapes);
  const { id, stream, lsn, seq } = event;
  if (event.isDeadLetter) {
    return new WalrelayError(
      'DEAD_LETTER_REFUSED',
      `Redis refused the dead letter of ${lsn} #${seq} for the stream ${stream}: ${replyText(refusal)}`,
      { facts: { stream, lsn, seq } },
    );
  }
  return eventRefused(refusal, { id, stream, where: `${lsn} #${seq}` }, { lsn, seq });
}

/** The answer of HGETALL, in a script or not: pairs, or the object that ioredis makes of them. */
export function pairsToRecord(reply: unknown): Record<string, string> {
  if (Array.isArray(reply) && reply.length % 2 === 0) {
    const record: Record<string, string> = {};
    for (let index = 0; index < reply.length; index += 2)
      record[String(reply[index])] = String(reply[index + 1]);
    return record;
  }
  if (reply !== null && typeof reply === 'object' && !Array.isArray(reply))
    return reply as Record<string, string>;
  // Not "no lane": that would tell an operator of a loss.
  throw unknownReply('a look at the lane state');
}
