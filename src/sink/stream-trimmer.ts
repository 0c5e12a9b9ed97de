import { WalrelayError } from '../core/walrelay-error.ts';
import { unknownReply } from './redis-reply.ts';
import type { RedisConnection } from './redis-connection.ts';
import { parseEntryId } from './stream-reader.ts';
import { TRIM_SCRIPT } from './trim-script.ts';

/** What may go. An entry is due when it is beyond the length or older than the age. */
export interface TrimRule {
  /** safe: only what is due and what every group has acknowledged. */
  readonly mode: 'safe' | 'even-unread';
  readonly ignoredGroups: readonly string[];
  /** Streams may differ in it. */
  limitsOf(stream: string): TrimLimits;
}

/** Null: none of this kind. */
export interface TrimLimits {
  readonly lengthMax: number | null;
  readonly ageMaxMs: number | null;
}

/** Under which a session may write: a relay that was replaced trims nothing. */
export interface TrimHold {
  readonly epoch: number;
  readonly fence: number;
}

export interface TrimStep {
  readonly removed: number;
  /** Entries that are left. */
  readonly length: number;
  readonly firstId: string;
  readonly lastId: string;
  /** Redis's. */
  readonly nowMs: number;
  /** That count; 0 in the mode even-unread, where none does. */
  readonly groups: number;
  /** Null without groups that count, and in all steps of a round but the first. */
  readonly slowest: SlowestGroup | null;
}

/** The group behind which nothing may go. */
export interface SlowestGroup {
  readonly name: string;
  /** The oldest entry that it has not acknowledged; null when it has acknowledged all there is. */
  readonly unreadId: string | null;
  /** Delivered and not acknowledged. */
  readonly pending: number;
  /** Not delivered; null where Redis doesn't tell. */
  readonly lag: number | null;
}

/** Trims streams, one small step at a time; all steps of one round on the stream but the first take `previous`. */
export class StreamTrimmer {
  readonly #rule: TrimRule;
  readonly #hold: TrimHold;
  /** Until a server refuses it. With groups that don't count it would keep what these have not read. */
  #isAckedTried: boolean;

  constructor(rule: TrimRule, hold: TrimHold) {
    this.#rule = rule;
    this.#hold = hold;
    this.#isAckedTried = rule.ignoredGroups.length === 0;
  }

  /** Whether a first step that removed nothing may have stopped in front of what is due: at a head larger than its limit. */
  mayHaveMore(stream: string, { firstId, length, nowMs, slowest }: TrimStep): boolean {
    const { mode } = this.#rule;
    const { lengthMax, ageMaxMs } = this.#rule.limitsOf(stream);
    if (mode === 'safe' && (slowest === null || slowest.unreadId === firstId)) return false;
    const ageMs = nowMs - Number(parseEntryId(firstId)[0]);
    return (ageMaxMs !== null && ageMs > ageMaxMs) || (lengthMax !== null && length > lengthMax);
  }

  async step(
    redis: RedisConnection,
    keys: { readonly lane: string; readonly stream: string },
    limit: number,
    previous: TrimStep | null,
  ): Promise<TrimStep> {
    const { mode, ignoredGroups } = this.#rule;
    const { lengthMax, ageMaxMs } = this.#rule.limitsOf(keys.stream);
    const reply = await redis.command(
      `trimming ${keys.stream}`,
      'EVAL',
      TRIM_SCRIPT,
      2,
      keys.lane,
      keys.stream,
      this.#hold.epoch,
      this.#hold.fence,
      mode,
      lengthMax ?? '',
      ageMaxMs ?? '',
      limit,
      this.#isAckedTried ? 1 : 0,
      previous?.firstId ?? '',
      previous?.lastId ?? '',
      ...ignoredGroups,
    );
    const { hasAcked, ...step } = readStep(reply);
    if (!hasAcked) this.#isAckedTried = false;
    return step;
  }
}

function readStep(reply: unknown): TrimStep & { readonly hasAcked: boolean } {
  if (!Array.isArray(reply) || reply.length !== REPLY_LENGTH) throw unknownReply('a trim');
  const [removed, length, firstId, lastId, acked, nowMs, groups, name, unreadId, pending, lag] =
    reply as unknown[];
  for (const count of [removed, length, groups, pending, lag]) {
    if (typeof count !== 'number') throw unknownReply('a trim');
  }
  return {
    removed: removed as number,
    length: length as number,
    firstId: String(firstId),
    lastId: String(lastId),
    hasAcked: acked === 1,
    nowMs: Number(nowMs),
    groups: groups as number,
    slowest:
      name === '' || pending === -1
        ? null
        : {
            name: String(name),
            unreadId: unreadId === '' ? null : String(unreadId),
            pending: pending as number,
            lag: lag === -1 ? null : (lag as number),
          },
  };
}

const REPLY_LENGTH = 11;

/** Whether another relay, or another epoch, has taken the streams over: this one must leave them alone. */
export function isOverForTrimming(error: unknown): boolean {
  return error instanceof WalrelayError && OVER.has(error.code);
}

const OVER: ReadonlySet<string> = new Set(['FENCED', 'EPOCH_CHANGED']);
