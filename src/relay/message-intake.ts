import { formatLsn } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { findMessage, messageHeadBytes } from '../decode/message-head.ts';
import { MessageOutbox } from '../decode/message-outbox.ts';
import type { TuplePlan } from '../decode/outbox-columns.ts';
import type { MessageSource, StrayMessage } from '../decode/pgoutput-decoder.ts';
import type { Logger } from '../ops/logger.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import type { LargeFrames } from '../source/copy-data-reader.ts';
import { XLOG_DATA, XLOG_DATA_HEADER_BYTES } from '../source/walsender-message.ts';
import type { Pump } from './pump.ts';
import type { RelayMessages, RelayShape } from './relay-shape.ts';

/**
 * Which logical messages are events, for the decoder, and what becomes of the others. All prefixes come: pgoutput leaves none
 * out. Those of others are passed over, also when they are larger than any event may be; those of an outbox that came without
 * a transaction are refused: see docs/decisions/0012-messages-without-a-transaction.md.
 */
export class MessageIntake implements MessageSource, LargeFrames {
  readonly outboxes: readonly MessageOutbox[];
  readonly headBytes: number;
  readonly #pump: Pick<Pump, 'malformed'>;
  readonly #options: IntakeOptions;
  #refusedCount = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;

  private constructor(
    messages: readonly RelayMessages[],
    pump: Pick<Pump, 'malformed'>,
    options: IntakeOptions,
  ) {
    this.outboxes = messages.map(messageOutbox);
    this.headBytes = XLOG_DATA_HEADER_BYTES + messageHeadBytes(this.outboxes);
    this.#pump = pump;
    this.#options = options;
  }

  /** Null: no outbox is made of messages. */
  static create(
    { messages }: Pick<RelayShape, 'messages'>,
    pump: Pick<Pump, 'malformed'>,
    options: IntakeOptions,
  ): MessageIntake | null {
    return messages.length === 0 ? null : new MessageIntake(messages, pump, options);
  }

  malformed(error: unknown, bytes: Buffer, start: number, length: number, plan: TuplePlan): void {
    this.#pump.malformed(error, bytes, start, length, plan);
  }

  notTransactional({ outbox, lsn, contentBytes }: StrayMessage): void {
    this.#options.metrics.recordRefusedMessage();
    this.#refusedCount += 1;
    const nowMs = performance.now();
    // Whoever may emit one may emit a million.
    if (nowMs - this.#saidAtMs < SAY_INTERVAL_MS) return;
    this.#saidAtMs = nowMs;
    const prefix = outbox.prefix.toString();
    const err = new WalrelayError(
      'MESSAGE_NOT_TRANSACTIONAL',
      `a message with the prefix ${prefix} at ${formatLsn(lsn)} came without a transaction: it is no event, and was not relayed`,
      { facts: { prefix, lsn: formatLsn(lsn), contentBytes, refused: this.#refusedCount } },
    );
    this.#options.logger.error({ err }, 'a message was refused');
    this.#refusedCount = 0;
  }

  /** Too large to be held: not so when it is nobody's here, or refused anyway. */
  isUnwanted(bytes: Buffer, start: number, end: number): boolean {
    const at = start + XLOG_DATA_HEADER_BYTES;
    if (bytes[start] !== XLOG_DATA || at >= end || bytes[at] !== LOGICAL_MESSAGE) return false;
    const message = findMessage(bytes, at, end, this.outboxes);
    if (message === null) return false;
    const { outbox, isTransactional, lsn, contentStart } = message;
    if (outbox === null) return true;
    if (isTransactional) return false;
    this.notTransactional({ outbox, lsn, contentBytes: bytes.readUInt32BE(contentStart - 4) });
    return true;
  }
}

export interface IntakeOptions {
  readonly metrics: Pick<RelayMetrics, 'recordRefusedMessage'>;
  readonly logger: Logger;
}

function messageOutbox({ number, settings, outbox }: RelayMessages): MessageOutbox {
  const { slots, columns, mapping } = outbox;
  const roles = [...slots.id, slots.type, slots.aggregateType, slots.aggregateId, slots.payload];
  return new MessageOutbox({
    outbox: number,
    name: mapping.name,
    prefix: settings.messagePrefix,
    names: columns,
    idSlots: slots.id,
    presentSlots: [...new Set(roles)].filter((slot) => slot !== -1),
  });
}

const SAY_INTERVAL_MS = 10_000;
const LOGICAL_MESSAGE = 0x4d; // 'M'
