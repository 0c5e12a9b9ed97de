import type { Position } from '../../src/core/position.ts';
import { type Lsn, toLsn } from '../../src/core/lsn.ts';
import { begin, commit, insert, OID, relation } from '../unit/decode/pgoutput-messages.ts';

/** One outbox row, and where it stands in the history. */
export interface SimulatedEvent {
  readonly id: string;
  readonly aggregate: string;
  readonly stream: string;
  readonly payload: string;
  readonly position: Position;
  /** NULL in the column that names the stream: can't be routed. */
  readonly isUnroutable: boolean;
}

export interface SimulatedTransaction {
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly events: readonly SimulatedEvent[];
  /** False: the publication did not cover the table then, so that nothing of it is sent. */
  readonly isPublished: boolean;
  /** CopyData frames, made once: Begin, the inserts, Commit. */
  frames: readonly Buffer[] | null;
}

/** The write-ahead log as logical decoding sees it: transactions in commit order, and where it ends. */
export class Wal {
  readonly transactions: SimulatedTransaction[] = [];
  endLsn: Lsn;
  #eventCount = 0;

  constructor(startLsn: Lsn) {
    this.endLsn = startLsn;
  }

  /**
   * Commits `aggregates.length` outbox rows in one transaction. With a gap of 0 its commit record begins exactly where the record
   * before it ended, as it does when two transactions that were open commit one after the other.
   */
  commit(
    aggregates: readonly (string | null)[],
    options: { readonly gap: number; readonly isPublished: boolean },
  ): SimulatedTransaction {
    const commitLsn = toLsn(this.endLsn + BigInt(options.gap));
    const endLsn = toLsn(commitLsn + COMMIT_RECORD_BYTES);
    const events = aggregates.map((aggregate, ordinal) => {
      this.#eventCount += 1;
      return {
        id: `e${this.#eventCount}`,
        aggregate: aggregate ?? '',
        stream: `outbox.${aggregate}`,
        payload: `{"n":${this.#eventCount}}`,
        position: { commitLsn, ordinal },
        isUnroutable: aggregate === null,
      };
    });
    const transaction = { commitLsn, endLsn, events, isPublished: options.isPublished, frames: null };
    this.transactions.push(transaction);
    this.endLsn = endLsn;
    return transaction;
  }

  /** Other tables, other databases, checkpoints: WAL without anything to send. */
  grow(bytes: number): void {
    this.endLsn = toLsn(this.endLsn + BigInt(bytes));
  }

  /** A promoted standby that had replayed up to `lsn`: what came behind was never there. */
  truncate(lsn: Lsn): void {
    const { transactions } = this;
    while (transactions.length > 0 && (transactions.at(-1) as SimulatedTransaction).endLsn > lsn)
      transactions.pop();
    this.endLsn = lsn;
  }
}

const COMMIT_RECORD_BYTES = 0x30n;

export function framesOf(transaction: SimulatedTransaction): readonly Buffer[] {
  transaction.frames ??= [
    xlogData(begin(transaction.commitLsn, 0n)),
    ...transaction.events.map((event) =>
      xlogData(
        insert([
          event.id,
          'made',
          event.isUnroutable ? null : event.aggregate,
          event.aggregate,
          event.payload,
        ]),
      ),
    ),
    xlogData(commit(transaction.commitLsn, transaction.endLsn)),
  ];
  return transaction.frames;
}

export const TABLE_OID = OID;
export const RELATION_FRAME = xlogData(relation());

function xlogData(message: Buffer): Buffer {
  const header = Buffer.alloc(25);
  header[0] = 0x77; // 'w'
  return copyData(Buffer.concat([header, message]));
}

export function keepalive(walEndLsn: Lsn, isReplyRequested: boolean): Buffer {
  const message = Buffer.alloc(18);
  message[0] = 0x6b; // 'k'
  message.writeBigUInt64BE(walEndLsn, 1);
  message[17] = isReplyRequested ? 1 : 0;
  return copyData(message);
}

export function copyData(content: Buffer): Buffer {
  return frame('d', content);
}

/** An ErrorResponse. https://www.postgresql.org/docs/current/protocol-error-fields.html */
export function errorFrame(sqlState: string, text: string): Buffer {
  return frame('E', Buffer.from(`SFATAL\0C${sqlState}\0M${text}\0\0`));
}

export const COPY_DONE_FRAME = frame('c', Buffer.alloc(0));

function frame(kind: string, content: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(kind, 0, 'latin1');
  head.writeUInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}
