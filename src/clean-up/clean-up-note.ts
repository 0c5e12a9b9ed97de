/**
 * What the clean-up must remember over restarts, as the lane state keeps it: since when it knows the rows, and, for a
 * table without a time column, how old the slot's horizon is. Pure: times and transaction ids come in.
 *
 * Transaction ids are those of 64 bits, which never wrap around; a row carries only their lower half.
 */
export class CleanUpNote {
  /** Rows of earlier transactions stood there before: nobody knows whether they were relayed. */
  readonly since: Horizon;
  /** The slot's horizon as it was at some moments, the oldest first. */
  readonly #horizons: Horizon[];

  private constructor(since: Horizon, horizons: Horizon[]) {
    this.since = since;
    this.#horizons = horizons;
  }

  static begin(since: Horizon): CleanUpNote {
    return new CleanUpNote(since, []);
  }

  /** Null: there is none, or it can't be read. Then the rows of now count as older ones, which keeps too many. */
  static parse(text: string | undefined): CleanUpNote | null {
    if (text === undefined) return null;
    const points = text.split(' ').map(parseHorizon);
    const [since, ...horizons] = points.filter((point) => point !== null);
    if (since === undefined || horizons.length + 1 !== points.length) return null;
    return new CleanUpNote(since, horizons);
  }

  toString(): string {
    return [this.since, ...this.#horizons].map(({ xid, atMs }) => `${xid}@${atMs}`).join(' ');
  }

  /** Remembers a look at the slot; true when the note has changed. At most `POINTS_MAX` span the retention. */
  look(horizon: Horizon, retentionMs: number): boolean {
    const last = this.#horizons.at(-1);
    // A clock that was set back: what was noted in its future tells nothing now.
    if (last !== undefined && horizon.atMs < last.atMs) {
      this.#horizons.splice(0);
    } else if (last !== undefined && horizon.atMs - last.atMs < retentionMs / POINTS_MAX) {
      return false;
    }
    this.#horizons.push(horizon);
    // Of those that are old enough only the newest says anything.
    const ripe = this.#horizons.findLastIndex(({ atMs }) => atMs <= horizon.atMs - retentionMs);
    if (ripe > 0) this.#horizons.splice(0, ripe);
    return true;
  }

  /** Every transaction before the answer had ended, and was confirmed, `retentionMs` ago. Null: nothing is that old. */
  ripe(nowMs: number, retentionMs: number): bigint | null {
    return this.#horizons.findLast(({ atMs }) => atMs <= nowMs - retentionMs)?.xid ?? null;
  }
}

export interface Horizon {
  readonly xid: bigint;
  /** By the clock of Postgres. */
  readonly atMs: number;
}

/** The lower half of a transaction id tells earlier from later only within two billion of each other. */
export function isWithinReach(xid: bigint, nextXid: bigint): boolean {
  return nextXid - xid < REACH;
}

/** As rows have it. */
export function rowXid(xid: bigint): string {
  return String(BigInt.asUintN(32, xid));
}

const POINTS_MAX = 16;
/** Less than 2^31 by what may begin between two looks. */
const REACH = 2n ** 31n - 2n ** 24n;

function parseHorizon(text: string): Horizon | null {
  const match = /^(\d{1,20})@(\d{1,15})$/.exec(text);
  return match === null ? null : { xid: BigInt(match[1] as string), atMs: Number(match[2]) };
}
