import type { Lsn } from '../../../src/core/lsn.ts';
import { compilePlan, type Relation } from '../../../src/decode/outbox-columns.ts';
import { PgoutputDecoder, type TransactionHandler } from '../../../src/decode/pgoutput-decoder.ts';

export interface CollectedTransaction {
  readonly commitLsn: Lsn;
  readonly committedAtUs: bigint;
  /** Values by slot; ordinal is the index. */
  readonly events: (string | null)[][];
  /** Null until Commit. */
  endLsn: Lsn | null;
}

/** Keeps what a decoder hands on, and checks that every range lies within the frame that is being decoded. */
export class CollectedEvents implements TransactionHandler {
  readonly transactions: CollectedTransaction[] = [];
  /** Calls of the handler since the last `decode`. */
  callCount = 0;
  readonly #decoder: PgoutputDecoder;
  #frame = { start: 0, end: 0 };

  constructor(
    names: readonly string[],
    isOutbox: (relation: Relation) => boolean = () => true,
    binarySlots?: readonly number[],
  ) {
    this.#decoder = new PgoutputDecoder(
      {
        slotCount: names.length,
        planOf: (relation) =>
          isOutbox(relation)
            ? compilePlan({ outbox: 0, name: 'outbox', names, binarySlots: binarySlots ?? [] }, relation)
            : null,
      },
      this,
    );
  }

  get decoder(): PgoutputDecoder {
    return this.#decoder;
  }

  decode(bytes: Buffer, start = 0, end = bytes.length): this {
    this.callCount = 0;
    this.#frame = { start, end };
    this.#decoder.decode(bytes, start, end);
    return this;
  }

  begin(commitLsn: Lsn, committedAtUs: bigint): void {
    this.callCount += 1;
    this.transactions.push({ commitLsn, committedAtUs, events: [], endLsn: null });
  }

  insert(bytes: Buffer, starts: Int32Array, lengths: Int32Array): void {
    this.callCount += 1;
    const values = Array.from(starts, (start, slot) => {
      const length = lengths[slot]!;
      if (length === -1) return null;
      if (length < 0 || start < this.#frame.start || start + length > this.#frame.end) {
        throw new Error(`slot ${slot}: [${start}, ${start + length}) is not within the frame`);
      }
      return bytes.toString('utf8', start, start + length);
    });
    this.transactions.at(-1)!.events.push(values);
  }

  commit(endLsn: Lsn): void {
    this.callCount += 1;
    this.transactions.at(-1)!.endLsn = endLsn;
  }
}
