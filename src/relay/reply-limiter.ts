import type { Lsn } from '../core/lsn.ts';

/**
 * How fast a keepalive's request for a reply is answered. A walsender that waits for the confirmation of the last
 * byte asks some 30,000 times a second: identical answers are spaced out. And asking that persistently for a position
 * that does not come is how a shutdown looks from here. Pure: the time comes in.
 */
export class ReplyLimiter {
  #answeredLsn: Lsn | null = null;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  #askedLsn: Lsn | null = null;
  #askedCount = 0;
  #askedSinceMs = 0;

  /** Milliseconds until the answer may go out: 0 for now. */
  delayMs(confirmedLsn: Lsn, nowMs: number): number {
    if (confirmedLsn !== this.#answeredLsn) return 0;
    return Math.max(0, this.#answeredAtMs + SAME_ANSWER_INTERVAL_MS - nowMs);
  }

  answered(confirmedLsn: Lsn, nowMs: number): void {
    this.#answeredLsn = confirmedLsn;
    this.#answeredAtMs = nowMs;
  }

  /** Notes a request. True when the server keeps asking about one position, as it does only when it shuts down. */
  isShutdownStorm(walEndLsn: Lsn, nowMs: number): boolean {
    if (walEndLsn !== this.#askedLsn || nowMs - this.#askedSinceMs >= STORM_WINDOW_MS) {
      this.#askedLsn = walEndLsn;
      this.#askedCount = 0;
      this.#askedSinceMs = nowMs;
    }
    this.#askedCount += 1;
    // In normal life a server asks once per half of wal_sender_timeout.
    return this.#askedCount >= STORM_REQUESTS;
  }
}

const SAME_ANSWER_INTERVAL_MS = 50;
/** Our own spacing of identical answers lets a storm through at 20 requests a second. */
const STORM_REQUESTS = 20;
const STORM_WINDOW_MS = 5000;
