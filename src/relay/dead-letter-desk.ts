import { formatTableName } from '../config/table-name.ts';
import type { ValueKind, ValueKinds } from '../core/entry-shape.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import { toWalrelayError, type WalrelayError } from '../core/walrelay-error.ts';
import { eventIdOf } from '../decode/event-id.ts';
import type { Stream } from '../route/stream-router.ts';
import {
  DEAD_LETTER_COLUMN,
  DEAD_LETTER_FIELDS,
  deadLetterStreamOf,
  type LetterValue,
  packLetter,
} from '../sink/dead-letter.ts';
import type { TransactionStamp } from '../sink/transaction-stamp.ts';
import type { PoisonPolicy } from './poison-policy.ts';
import type { RelayOutbox } from './relay-shape.ts';

/**
 * Where a session takes events that can't pass: makes of each an event for the dead-letter stream, which then goes the way
 * of all others, in its place. So it is there exactly once, and before what comes behind it is confirmed.
 */
export class DeadLetterDesk {
  readonly #options: DeadLetterDeskOptions;
  /** By name. On a cluster, where there is one for each lane. */
  readonly #streams = new Map<string, Stream>();

  constructor(options: DeadLetterDeskOptions) {
    this.#options = options;
  }

  /** Throws what Redis refused the event at this position with, when it did so before. */
  checkRefused(commitLsn: Lsn, ordinal: number): void {
    const { policy } = this.#options;
    if (!policy.hasRefusals) return;
    const refusal = policy.refusalAt({ commitLsn, ordinal });
    if (refusal !== undefined) throw refusal;
  }

  /** The dead-letter stream for what was thrown. Throws it again when it is not about one event. */
  streamFor(thrown: unknown): Stream {
    const error = toWalrelayError(thrown);
    if (error.disposition !== 'poison') throw thrown;
    const { base, isCluster, laneOf, shape } = this.#options;
    const name = deadLetterStreamOf(base, intendedStream(error), isCluster);
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    const stream: Stream = { name, lane: laneOf(name), shape, batchSeq: -1, keyIndex: -1 };
    this.#streams.set(name, stream);
    return stream;
  }

  /** The dead letter of an event, packed. Throws DEAD_LETTER_LIMIT when there were too many lately. */
  write(thrown: unknown, event: PoisonEvent): DeadLetter {
    const error = toWalrelayError(thrown);
    const { stamp, ordinal, bytes, starts, lengths } = event;
    const position = { commitLsn: stamp.commitLsn, ordinal };
    this.#options.policy.admit(position, error);
    const { settings, outbox } = this.#options.outboxes[event.outbox] as RelayOutbox;
    const lsn = stamp.lsnText.toString('latin1', 0, stamp.lsnLength);
    const isReadable = event.content === undefined;
    const eventId = isReadable ? eventIdOf(outbox.slots.id, bytes, starts, lengths) : null;
    const stream = intendedStream(error);
    const columns = isReadable ? outbox.columns : [];
    const nulls = columns.filter((_, slot) => (lengths[slot] as number) < 0);
    const kinds = columns.flatMap((column, slot): [string, ValueKind][] => {
      const kind = event.kinds[slot] ?? 'text';
      return kind === 'text' ? [] : [[column, kind]];
    });
    const optional: [string, LetterValue | null][] = [
      [DEAD_LETTER_FIELDS.id, eventId],
      [DEAD_LETTER_FIELDS.stream, stream],
      [DEAD_LETTER_FIELDS.nulls, nulls.length === 0 ? null : JSON.stringify(nulls)],
      [DEAD_LETTER_FIELDS.kinds, kinds.length === 0 ? null : JSON.stringify(Object.fromEntries(kinds))],
    ];
    const fields: [string, LetterValue][] = [
      [DEAD_LETTER_FIELDS.reason, error.code],
      [DEAD_LETTER_FIELDS.message, error.message],
      [DEAD_LETTER_FIELDS.outbox, settings.name],
      settings.table === null
        ? [DEAD_LETTER_FIELDS.messagePrefix, settings.messagePrefix]
        : [DEAD_LETTER_FIELDS.table, formatTableName(settings.table)],
      ...optional.filter((field): field is [string, LetterValue] => field[1] !== null),
      [DEAD_LETTER_FIELDS.lsn, lsn],
      [DEAD_LETTER_FIELDS.seq, String(ordinal)],
      [DEAD_LETTER_FIELDS.committedAt, stamp.committedAtText.toString('latin1')],
    ];
    if (event.content !== undefined) fields.push([DEAD_LETTER_FIELDS.content, { bytes, ...event.content }]);
    columns.forEach((column, slot) => {
      const length = lengths[slot] as number;
      if (length >= 0)
        fields.push([DEAD_LETTER_COLUMN + column, { bytes, start: starts[slot] as number, length }]);
    });
    const facts = {
      reason: error.code,
      why: error.message,
      outbox: settings.name,
      eventId,
      stream,
      lsn,
      seq: ordinal,
    };
    return { packed: packLetter(fields), position, facts };
  }

  /** It stands in its stream. */
  settled(letter: DeadLetter): void {
    this.#options.policy.settled(letter.position);
  }
}

export interface DeadLetterDeskOptions {
  readonly policy: PoisonPolicy;
  readonly base: string;
  readonly isCluster: boolean;
  /** The number of the loose shape. */
  readonly shape: number;
  readonly outboxes: readonly RelayOutbox[];
  readonly laneOf: (stream: string) => number;
}

export interface PoisonEvent {
  /** The number of its outbox. */
  readonly outbox: number;
  readonly kinds: ValueKinds;
  readonly stamp: TransactionStamp;
  readonly ordinal: number;
  readonly bytes: Buffer;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  /** Of a message that can't be read: all of it. The ranges of its columns say nothing then. */
  readonly content?: { readonly start: number; readonly length: number };
}

export interface DeadLetter {
  readonly packed: Buffer;
  readonly position: Position;
  /** For the log: no payload. */
  readonly facts: DeadLetterFacts;
}

export interface DeadLetterFacts {
  readonly reason: string;
  readonly why: string;
  readonly outbox: string;
  readonly eventId: string | null;
  readonly stream: string | null;
  readonly lsn: string;
  readonly seq: number;
}

function intendedStream(error: WalrelayError): string | null {
  const { stream } = error.facts;
  return typeof stream === 'string' ? stream : null;
}
