import type { Lsn } from '../core/lsn.ts';

export interface StatusUpdate {
  /** The highest position received on this connection. */
  readonly receivedLsn: Lsn;
  /** What Postgres may forget: everything before it is durable in Redis and the floor is noted there. */
  readonly confirmedLsn: Lsn;
  /** Milliseconds since 1970-01-01, this host's clock. */
  readonly nowMs: number;
  /** Ask for an answer at once: the proof that the server is alive. */
  readonly isReplyRequested: boolean;
}

const POSTGRES_EPOCH_MS = 946_684_800_000; // 2000-01-01T00:00:00Z

/**
 * Encodes a Standby status update: the message that lets Postgres forget WAL. Positions go out as they are,
 * never plus one: the end of one transaction often is the commit LSN of the next, which would then be skipped.
 * https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-STANDBY-STATUS-UPDATE
 */
export function encodeStatusUpdate(update: StatusUpdate): Buffer {
  const message = Buffer.allocUnsafe(34);
  message[0] = 0x72; // 'r'
  message.writeBigUInt64BE(update.receivedLsn, 1); // written
  message.writeBigUInt64BE(update.confirmedLsn, 9); // flushed
  message.writeBigUInt64BE(update.confirmedLsn, 17); // applied
  message.writeBigInt64BE(BigInt(Math.round((update.nowMs - POSTGRES_EPOCH_MS) * 1000)), 25);
  message[33] = update.isReplyRequested ? 1 : 0;
  return message;
}
