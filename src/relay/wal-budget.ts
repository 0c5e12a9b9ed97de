/**
 * What the slot still may hold, judged look by look. Pure: the time comes in with each look.
 *
 * Owns the smoothing of the rates, the thresholds and their hysteresis. Must not know: connections, logs, metrics.
 */
export class WalBudget {
  readonly #retainedWarnBytes: number;
  #last: WalLook | null = null;
  #walBytesPerSecond: Smoothed = NO_RATE;
  #shrinkBytesPerSecond: Smoothed = NO_RATE;
  #level: WalLevel = 'ok';

  constructor(options: { readonly retainedWarnBytes: number }) {
    this.#retainedWarnBytes = options.retainedWarnBytes;
  }

  look(look: WalLook): WalState {
    this.#measure(look);
    const facts = this.#facts(look);
    const before = this.#level;
    const rising = judge(facts, this.#retainedWarnBytes, 1);
    // Down only when the same is said with a margin: a budget at a threshold would report itself at every look.
    const falling = judge(facts, this.#retainedWarnBytes, HYSTERESIS);
    const next = RANK[rising.level] >= RANK[before] ? rising : falling;
    this.#level = RANK[next.level] > RANK[before] || RANK[falling.level] < RANK[before] ? next.level : before;
    return {
      ...facts,
      level: this.#level,
      reason: RANK[rising.level] > 0 ? rising.reason : falling.reason,
      hasChanged: this.#level !== before,
    };
  }

  #measure(look: WalLook): void {
    const last = this.#last;
    this.#last = look;
    if (last === null || look.atMs <= last.atMs) return;
    const seconds = (look.atMs - last.atMs) / 1000;
    // Another server, or the same one restored: a rate over that would be nonsense.
    if (look.walEndBytes < last.walEndBytes) {
      this.#walBytesPerSecond = this.#shrinkBytesPerSecond = NO_RATE;
      return;
    }
    const written = (look.walEndBytes - last.walEndBytes) / seconds;
    this.#walBytesPerSecond = smooth(this.#walBytesPerSecond, written, seconds);
    if (look.safeBytes === null || last.safeBytes === null) this.#shrinkBytesPerSecond = NO_RATE;
    else {
      const shrunk = (last.safeBytes - look.safeBytes) / seconds;
      this.#shrinkBytesPerSecond = smooth(this.#shrinkBytesPerSecond, shrunk, seconds);
    }
  }

  #facts(look: WalLook): WalFacts {
    const { retainedBytes, safeBytes, walStatus } = look;
    const safe = safeBytes === null ? null : Math.max(0, safeBytes);
    const whole = safe === null ? 0 : safe + (retainedBytes ?? 0);
    const shrink = rateOf(this.#shrinkBytesPerSecond, MEASURED_MIN);
    return {
      walStatus,
      retainedBytes,
      safeBytes,
      headroom: safe === null || whole === 0 ? null : safe / whole,
      walBytesPerSecond: rateOf(this.#walBytesPerSecond),
      secondsToInvalidation: safe === null || shrink === null || shrink <= 0 ? null : safe / shrink,
    };
  }
}

export interface WalLook {
  readonly atMs: number;
  /** The end of the server's WAL, as a byte offset. */
  readonly walEndBytes: number;
  readonly retainedBytes: number | null;
  /** Null when there is no limit. */
  readonly safeBytes: number | null;
  readonly walStatus: string | null;
}

export interface WalFacts {
  readonly walStatus: string | null;
  readonly retainedBytes: number | null;
  readonly safeBytes: number | null;
  /** What is left of what the slot may hold, 0 to 1; null when there is no limit. */
  readonly headroom: number | null;
  /** WAL that the whole cluster writes; null until two looks have been taken. */
  readonly walBytesPerSecond: number | null;
  /** At the rate at which the headroom shrinks now; null while it doesn't, and when there is no limit. */
  readonly secondsToInvalidation: number | null;
}

export type WalLevel = 'ok' | 'warn' | 'error';

export interface WalState extends WalFacts {
  readonly level: WalLevel;
  /** The end of a sentence: why the level is what it is. */
  readonly reason: string;
  /** Whether this look crossed a threshold. */
  readonly hasChanged: boolean;
}

/** Named for the docs: docs/running-in-production.md lists them. */
export const WAL_THRESHOLDS = {
  headroomWarn: 0.5,
  headroomError: 0.2,
  secondsWarn: 3600,
  secondsError: 600,
} as const;

/** A level is left only when the budget is better than its threshold by this factor. */
const HYSTERESIS = 1.25;
/** What was measured this long ago counts half. restart_lsn moves in steps of 15 s and more: shorter would follow them. */
const HALF_LIFE_SECONDS = 60;
/** A time that is told after one burst, or after half a step of restart_lsn, would be wrong: this is some 45 s. */
const MEASURED_MIN = 0.4;
/** Less than a rate can be told from nothing by: a server that idles still writes a little. */
const RATE_MIN_BYTES_PER_SECOND = 1024;

const RANK: Readonly<Record<WalLevel, number>> = { ok: 0, warn: 1, error: 2 };

function judge(
  facts: WalFacts,
  retainedWarnBytes: number,
  margin: number,
): { readonly level: WalLevel; readonly reason: string } {
  const { headroom, retainedBytes, secondsToInvalidation: seconds, walStatus } = facts;
  const isBelow = (value: number | null, threshold: number) => value !== null && value < threshold * margin;
  if (walStatus === 'lost') return { level: 'error', reason: 'the slot is lost' };
  if (walStatus === 'unreserved') {
    return {
      level: 'error',
      reason:
        'the slot is beyond max_slot_wal_keep_size: it is lost at the next checkpoint unless the relay catches up',
    };
  }
  if (isBelow(headroom, WAL_THRESHOLDS.headroomError))
    return { level: 'error', reason: 'less than 20 % of what the slot may hold is left' };
  // A short time is no news while most of the budget is left: any burst would look like the end of it.
  const isUsed = isBelow(headroom, WAL_THRESHOLDS.headroomWarn);
  if (isUsed && isBelow(seconds, WAL_THRESHOLDS.secondsError))
    return { level: 'error', reason: 'the slot is lost within ten minutes at this rate' };
  if (isUsed) return { level: 'warn', reason: 'less than 50 % of what the slot may hold is left' };
  if (isBelow(seconds, WAL_THRESHOLDS.secondsWarn))
    return { level: 'warn', reason: 'the slot is lost within an hour at this rate' };
  if (headroom === null && retainedBytes !== null && retainedBytes * margin > retainedWarnBytes) {
    return {
      level: 'warn',
      reason:
        'the slot keeps more than WALRELAY_WAL_RETAINED_WARN_BYTES, and no max_slot_wal_keep_size guards the disk',
    };
  }
  return { level: 'ok', reason: 'the slot is in no danger' };
}

/** A mean that forgets, and how much of it has been measured: at the start it stands on what there is. */
interface Smoothed {
  readonly value: number;
  readonly weight: number;
}

const NO_RATE: Smoothed = { value: 0, weight: 0 };

function smooth(before: Smoothed, measured: number, seconds: number): Smoothed {
  const kept = before.weight * 0.5 ** (seconds / HALF_LIFE_SECONDS);
  const added = 1 - 0.5 ** (seconds / HALF_LIFE_SECONDS);
  const weight = kept + added;
  return { value: (before.value * kept + measured * added) / weight, weight };
}

function rateOf({ value, weight }: Smoothed, weightMin = 0): number | null {
  if (weight <= weightMin) return null;
  return Math.abs(value) < RATE_MIN_BYTES_PER_SECOND ? 0 : value;
}
