import { readInt64, readUint32 } from '../core/int64.ts';
import { formatLsn, type Lsn, readLsn, ZERO_LSN } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { decodeHexInPlace } from './decode-hex.ts';
import { findMessage } from './message-head.ts';
import type { MessageOutbox } from './message-outbox.ts';
import type { Relation, RelationColumn, TuplePlan } from './outbox-columns.ts';

/**
 * Decodes pgoutput, protocol version 1 (no streaming, no two-phase, text format), one message a call and without
 * making a JavaScript string or object of an event: a captured insert is handed on as byte ranges of the frame.
 *
 * Owns: the order of Begin, changes and Commit, and the plan of each Relation.
 * Must not know: sockets, batches, streams, Redis.
 *
 * Anything unexpected throws PG_PROTOCOL before the handler hears of it (I8).
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */
export class PgoutputDecoder {
  readonly #target: OutboxTarget;
  readonly #handler: TransactionHandler;
  readonly #messages: MessageSource | null;
  /** Relation OID → plan; null for a relation that is no outbox. */
  readonly #relations = new Map<number, TuplePlan | null>();
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  /** The last outbox relation seen: nearly every insert is of the same one. */
  #lastOid = -1;
  #lastPlan: TuplePlan | null = null;
  #commitLsn: Lsn = ZERO_LSN;
  #isInTransaction = false;

  /** `messages`: where logical messages were asked for too. */
  constructor(target: OutboxTarget, handler: TransactionHandler, messages: MessageSource | null = null) {
    this.#target = target;
    this.#handler = handler;
    this.#messages = messages;
    this.#starts = new Int32Array(target.slotCount);
    this.#lengths = new Int32Array(target.slotCount);
  }

  /** True between Begin and Commit: a keepalive received now proves nothing about what came before. */
  get isInTransaction(): boolean {
    return this.#isInTransaction;
  }

  /** Decodes the one message in `bytes[start, end)`. */
  decode(bytes: Buffer, start: number, end: number): void {
    if (start >= end) throw protocolError('an empty message');
    switch (bytes[start]) {
      case MESSAGE.insert:
        this.#insert(bytes, start, end);
        break;
      case MESSAGE.message:
        this.#message(bytes, start, end);
        break;
      case MESSAGE.begin:
        this.#begin(bytes, start, end);
        break;
      case MESSAGE.commit:
        this.#commit(bytes, start, end);
        break;
      case MESSAGE.relation:
        this.#relation(bytes, start, end);
        break;
      case MESSAGE.update:
      case MESSAGE.delete:
      case MESSAGE.truncate:
        // Not events: an outbox is insert-only, and clean-up of the table is none of the relay's business.
        this.#requireTransaction(bytes, start);
        break;
      case MESSAGE.type:
      case MESSAGE.origin:
        break;
      default:
        throw protocolError(`an unknown message ${nameOf(bytes, start)}`);
    }
  }

  #begin(bytes: Buffer, start: number, end: number): void {
    if (end - start !== 21) throw protocolError(`a Begin of ${end - start} bytes`);
    if (this.#isInTransaction) throw protocolError('a Begin inside of a transaction');
    const commitLsn = readLsn(bytes, start + 1);
    if (commitLsn <= this.#commitLsn) {
      throw protocolError(
        `a commit LSN that did not grow: ${formatLsn(commitLsn)} after ${formatLsn(this.#commitLsn)}`,
      );
    }
    this.#commitLsn = commitLsn;
    this.#isInTransaction = true;
    this.#handler.begin(commitLsn, readInt64(bytes, start + 9));
  }

  #commit(bytes: Buffer, start: number, end: number): void {
    if (end - start !== 26) throw protocolError(`a Commit of ${end - start} bytes`);
    this.#requireTransaction(bytes, start);
    if (bytes[start + 1] !== 0) throw protocolError(`a Commit with flags ${bytes[start + 1]}`);
    const commitLsn = readLsn(bytes, start + 2);
    const endLsn = readLsn(bytes, start + 10);
    if (commitLsn !== this.#commitLsn || endLsn <= commitLsn) {
      throw protocolError(
        `a Commit at ${formatLsn(commitLsn)} ending at ${formatLsn(endLsn)} for a Begin at ${formatLsn(this.#commitLsn)}`,
      );
    }
    this.#isInTransaction = false;
    this.#handler.commit(endLsn);
  }

  #insert(bytes: Buffer, start: number, end: number): void {
    this.#requireTransaction(bytes, start);
    if (end - start < 8) throw protocolError('a short Insert');
    const oid = readUint32(bytes, start + 1);
    let plan = this.#lastPlan;
    if (oid !== this.#lastOid) {
      const known = this.#relations.get(oid);
      if (known === undefined)
        throw protocolError(`an Insert into relation ${oid}, which was never announced`);
      if (known === null) return;
      this.#lastOid = oid;
      this.#lastPlan = plan = known;
    }
    if (plan === null) return;
    if (bytes[start + 5] !== BYTE_N) throw protocolError('an Insert without a new tuple');
    this.#tuple(bytes, start + 6, end, plan.slotOfColumn);
    if (plan.byteaSlots.length > 0) this.#decodeBytea(bytes, plan.byteaSlots);
    this.#handler.insert(bytes, this.#starts, this.#lengths, plan);
  }

  /** What its own transaction does not carry is no event, and has no position among them. */
  #message(bytes: Buffer, start: number, end: number): void {
    if (this.#messages === null) throw protocolError('a logical message, which was not asked for');
    const message = findMessage(bytes, start, end, this.#messages.outboxes);
    if (message === null) throw protocolError('a logical message that ends early');
    const { outbox, contentStart, isTransactional, lsn } = message;
    if (isTransactional) this.#requireTransaction(bytes, start);
    if (outbox === null) return;
    if (contentStart + readUint32(bytes, contentStart - 4) !== end)
      throw protocolError('a logical message that does not fill its frame');
    if (!isTransactional) {
      this.#messages.notTransactional({ outbox, lsn, contentBytes: end - contentStart });
      return;
    }
    try {
      outbox.read(bytes, contentStart, end, this.#starts, this.#lengths);
    } catch (error) {
      this.#messages.malformed(error, bytes, contentStart, end - contentStart, outbox.plan);
      return;
    }
    this.#handler.insert(bytes, this.#starts, this.#lengths, outbox.plan);
  }

  /** Finds the mapped columns of a TupleData. Exact to the byte: a tuple that does not fill its frame is refused. */
  #tuple(bytes: Buffer, start: number, end: number, columns: Int16Array): void {
    const count = ((bytes[start] as number) << 8) | (bytes[start + 1] as number);
    if (count !== columns.length)
      throw protocolError(`a tuple of ${count} columns for a relation of ${columns.length}`);
    let offset = start + 2;
    for (let index = 0; index < count; index += 1) {
      if (offset >= end) throw protocolError('a tuple that ends early');
      const kind = bytes[offset];
      const slot = columns[index] as number;
      offset += 1;
      if (kind === BYTE_TEXT) {
        if (offset + 4 > end) throw protocolError('a tuple that ends early');
        const length = readUint32(bytes, offset);
        offset += 4;
        // Compared as a remainder: offset + length of a hostile length could pass 2^53 unnoticed otherwise.
        if (length > end - offset)
          throw protocolError(`a column of ${length} bytes in a frame with ${end - offset} left`);
        if (slot >= 0) {
          this.#starts[slot] = offset;
          this.#lengths[slot] = length;
        }
        offset += length;
      } else if (kind === BYTE_NULL) {
        if (slot >= 0) {
          this.#starts[slot] = offset;
          this.#lengths[slot] = -1;
        }
      } else {
        // 'u' (unchanged TOAST) can't be in an insert, 'b' (binary) was not asked for.
        throw protocolError(`a column of the kind ${nameOf(bytes, offset - 1)} in an Insert`);
      }
    }
    if (offset !== end) throw protocolError(`a tuple with ${end - offset} bytes left over`);
  }

  /** In the frame itself: it is read once, and the bytes are fewer than their digits. */
  #decodeBytea(bytes: Buffer, slots: readonly number[]): void {
    for (const slot of slots) {
      const length = this.#lengths[slot] as number;
      if (length < 0) continue;
      const decoded = decodeHexInPlace(bytes, this.#starts[slot] as number, length);
      if (decoded < 0) throw protocolError('a bytea that is not in hex (bytea_output)');
      this.#lengths[slot] = decoded;
    }
  }

  #relation(bytes: Buffer, start: number, end: number): void {
    const relation = readRelation(bytes, start, end);
    this.#relations.set(relation.oid, this.#target.planOf(relation));
    // The same OID may have been announced anew with other columns.
    this.#lastOid = -1;
    this.#lastPlan = null;
  }

  #requireTransaction(bytes: Buffer, start: number): void {
    if (!this.#isInTransaction)
      throw protocolError(`a message ${nameOf(bytes, start)} outside of a transaction`);
  }
}

export interface OutboxTarget {
  /** Of the outbox that has the most. */
  readonly slotCount: number;
  /** How the rows of a relation are read; null: inserts into it are no events. Asked once per Relation message. */
  planOf(relation: Relation): TuplePlan | null;
}

/** Hears of transactions in commit order. The byte ranges are valid during the call only. */
export interface TransactionHandler {
  /** `committedAtUs`: microseconds since 2000-01-01 UTC, the primary's clock. */
  begin(commitLsn: Lsn, committedAtUs: bigint): void;
  /** `lengths[slot]` is −1 for NULL. Slots beyond those of the plan's outbox say nothing. */
  insert(bytes: Buffer, starts: Int32Array, lengths: Int32Array, plan: TuplePlan): void;
  commit(endLsn: Lsn): void;
}

/** Where logical messages are events too. */
export interface MessageSource {
  readonly outboxes: readonly MessageOutbox[];
  /** An event whose content, `bytes[start, start + length)`, is not what the settings say: it takes its place all the same. */
  malformed(error: unknown, bytes: Buffer, start: number, length: number, plan: TuplePlan): void;
  /** One that came without a transaction, and so is none. */
  notTransactional(message: StrayMessage): void;
}

export interface StrayMessage {
  readonly outbox: MessageOutbox;
  readonly lsn: Lsn;
  readonly contentBytes: number;
}

const MESSAGE = {
  message: 0x4d, // 'M'
  begin: 0x42, // 'B'
  commit: 0x43, // 'C'
  origin: 0x4f, // 'O'
  relation: 0x52, // 'R'
  type: 0x59, // 'Y'
  insert: 0x49, // 'I'
  update: 0x55, // 'U'
  delete: 0x44, // 'D'
  truncate: 0x54, // 'T'
} as const;
const BYTE_N = 0x4e;
const BYTE_TEXT = 0x74;
const BYTE_NULL = 0x6e;

function readRelation(bytes: Buffer, start: number, end: number): Relation {
  const reader = new FrameReader(bytes, start + 1, end);
  const oid = reader.uint32();
  // The empty namespace means pg_catalog.
  const schema = reader.cstring() || 'pg_catalog';
  const table = reader.cstring();
  reader.skip(1); // replica identity
  const count = reader.uint16();
  const columns: RelationColumn[] = [];
  for (let index = 0; index < count; index += 1) {
    reader.skip(1); // flags: part of the key
    const name = reader.cstring();
    const typeOid = reader.uint32();
    reader.skip(4); // type modifier
    columns.push({ name, typeOid });
  }
  reader.requireEnd();
  return { oid, schema, table, columns };
}

/** A bounded cursor for the rare messages; the hot ones are read in place. */
class FrameReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #offset: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
  }

  uint32(): number {
    return readUint32(this.#bytes, this.skip(4));
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.skip(2));
  }

  cstring(): string {
    const zero = this.#bytes.indexOf(0, this.#offset);
    if (zero === -1 || zero >= this.#end) throw protocolError('a string without an end');
    const text = this.#bytes.toString('utf8', this.#offset, zero);
    this.#offset = zero + 1;
    return text;
  }

  /** Moves on by `count` bytes and returns where they begin. */
  skip(count: number): number {
    const from = this.#offset;
    if (from + count > this.#end) throw protocolError('a message that ends early');
    this.#offset += count;
    return from;
  }

  requireEnd(): void {
    if (this.#offset !== this.#end)
      throw protocolError(`a message with ${this.#end - this.#offset} bytes left over`);
  }
}

function nameOf(bytes: Buffer, offset: number): string {
  const byte = bytes[offset] as number;
  const shown = byte > 0x20 && byte < 0x7f ? `'${String.fromCharCode(byte)}' ` : '';
  return `${shown}(0x${byte.toString(16).padStart(2, '0')})`;
}

function protocolError(what: string): WalrelayError {
  return new WalrelayError('PG_PROTOCOL', `the walsender sent ${what}`);
}
