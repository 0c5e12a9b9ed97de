import { begin, commit, insert, NAMES, relation } from '../test/unit/decode/pgoutput-messages.ts';
import { XLOG_DATA_HEADER_BYTES } from '../src/source/walsender-message.ts';

/** What a walsender sends for `transactions` transactions of one row each, cut into reads of `readBytes`. */
export interface WalLoad {
  readonly reads: readonly Buffer[];
  readonly events: number;
}

/** Rows of about 200 bytes of payload, as `walrelay bench` writes them. */
export function walLoad(transactions: number, readBytes = 64 * 1024): WalLoad {
  const frames: Buffer[] = [copyData(relation())];
  for (let number = 0; number < transactions; number += 1) {
    const commitLsn = 0x16_b374_d848n + BigInt(number) * 0x2f0n;
    frames.push(
      copyData(begin(commitLsn, 843_000_000_000_000n + BigInt(number) * 11n)),
      copyData(insert(rowOf(number))),
      copyData(commit(commitLsn, commitLsn + 0x30n)),
    );
  }
  const bytes = Buffer.concat(frames);
  const reads: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += readBytes) reads.push(bytes.subarray(at, at + readBytes));
  return { reads, events: transactions };
}

/** In the order of the columns of pgoutput-messages' NAMES. */
function rowOf(number: number): string[] {
  const values = new Map(
    Object.entries({
      id: `6f1c0d5e-3f0b-4a55-9d0f-${number.toString(16).padStart(12, '0')}`,
      type: 'order.created',
      aggregatetype: 'order',
      aggregateid: String(number % 1000),
      payload: `{"k": "value", "n": ${number}, "note": "${'x'.repeat(160)}"}`,
    }),
  );
  return NAMES.map((name) => values.get(name) ?? '');
}

function copyData(message: Buffer): Buffer {
  const frame = Buffer.alloc(5 + XLOG_DATA_HEADER_BYTES + message.length);
  frame[0] = 0x64; // 'd'
  frame.writeUInt32BE(frame.length - 1, 1);
  frame[5] = 0x77; // 'w'
  message.copy(frame, 5 + XLOG_DATA_HEADER_BYTES);
  return frame;
}
