import { ORIGIN, type Position } from '../core/position.ts';
import type { Batch } from '../sink/batch.ts';

/**
 * A lane's side of the pump: the batch that is being filled, those that wait to be sent, and the chain of positions
 * (I2) that binds them. Batches of one lane are sent and accepted in order; lanes know nothing of each other.
 */
export class Outlet {
  readonly queue: Batch[] = [];
  open: Batch | null = null;
  inFlightCount = 0;
  /** The last position handed to this lane: where its next batch begins. */
  lastPosition: Position;
  readonly #watermark: Position;
  readonly #append: (batch: Batch) => Promise<{ readonly skipped: number }>;
  /** The slot resends what was not confirmed; what is at or below the watermark stands in Redis already. */
  #isResent: boolean;

  constructor(lane: {
    readonly watermark: Position;
    append(batch: Batch): Promise<{ readonly skipped: number }>;
  }) {
    this.#watermark = lane.watermark;
    this.lastPosition = lane.watermark;
    this.#isResent = lane.watermark.commitLsn > ORIGIN.commitLsn;
    this.#append = (batch) => lane.append(batch);
  }

  get isIdle(): boolean {
    return this.inFlightCount === 0 && this.queue.length === 0 && this.open === null;
  }

  /** Whether an event stands in the lane already. Events come in order: after the first that does not, none does. */
  isBehindWatermark(commitLsn: bigint, ordinal: number): boolean {
    if (!this.#isResent) return false;
    const watermark = this.#watermark;
    if (
      commitLsn < watermark.commitLsn ||
      (commitLsn === watermark.commitLsn && ordinal <= watermark.ordinal)
    )
      return true;
    this.#isResent = false;
    return false;
  }

  append(batch: Batch): Promise<{ readonly skipped: number }> {
    return this.#append(batch);
  }
}
