import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Piece, ValueKinds } from '../../../src/core/entry-shape.ts';
import { parseLsn } from '../../../src/core/lsn.ts';
import { measurePieces, writePieces } from '../../../src/sink/composed-value.ts';
import { TransactionStamp } from '../../../src/sink/transaction-stamp.ts';

const STAMP = new TransactionStamp();
STAMP.set(parseLsn('16/B374D848'), 0n);

/** Null where the pieces have no value. What is measured is what is written. */
function compose(
  pieces: Piece[],
  values: (Buffer | null)[],
  hasPosition = true,
  kinds: ValueKinds = [],
): Buffer | null {
  const bytes = Buffer.concat([Buffer.from('#'), ...values.map((value) => value ?? Buffer.alloc(0))]);
  const starts = new Int32Array(values.length);
  const lengths = new Int32Array(values.length);
  let at = 1;
  values.forEach((value, slot) => {
    starts[slot] = at;
    lengths[slot] = value?.length ?? -1;
    at += value?.length ?? 0;
  });
  const event = { bytes, starts, lengths, kinds, transaction: hasPosition ? STAMP : null, ordinal: 7 };
  const length = measurePieces(pieces, event);
  if (length < 0) return null;
  const into = Buffer.alloc(length + 2, 0xee);
  expect(writePieces(into, 1, pieces, event)).toBe(length + 1);
  expect([into[0], into[length + 1]]).toEqual([0xee, 0xee]);
  return into.subarray(1, length + 1);
}

test('a text as the inside of a JSON string is read back by any JSON parser', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), (a, b) => {
      const text = compose(
        [
          { text: '{"a":"' },
          { slot: 0, as: 'json' },
          { text: '","b":"' },
          { slot: 1, as: 'json' },
          { text: '"}' },
        ],
        [Buffer.from(a), Buffer.from(b)],
      );
      expect(JSON.parse(text!.toString())).toEqual({ a, b: Buffer.from(b).toString() });
    }),
  );
});

test('base64 and raw hold the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (value) => {
      const bytes = Buffer.from(value);
      expect(compose([{ slot: 0, as: 'raw' }], [bytes])).toEqual(bytes);
      expect(Buffer.from(compose([{ slot: 0, as: 'base64' }], [bytes])!.toString(), 'base64')).toEqual(bytes);
    }),
  );
});

test('a piece without a value leaves nothing of the whole, unless it was asked for first', () => {
  const id: Piece[] = [{ slot: 0, as: 'raw' }, { text: ':' }, { slot: 1, as: 'raw' }];
  expect(compose(id, [Buffer.from('a'), Buffer.from('')])?.toString()).toBe('a:');
  expect(compose(id, [Buffer.from('a'), null])).toBeNull();
  const optional: Piece[] = [{ if: 1, pieces: [{ slot: 1, as: 'raw' }], otherwise: [{ text: 'none' }] }];
  expect(compose(optional, [null, null])?.toString()).toBe('none');
});

test('facts of the WAL are there for what comes from it, and for nothing else', () => {
  const pieces: Piece[] = [
    { fact: 'lsn' },
    { text: ' ' },
    { fact: 'seq' },
    { text: ' ' },
    { fact: 'committedAt' },
  ];
  expect(compose(pieces, [])?.toString()).toBe('16/B374D848 7 2000-01-01T00:00:00.000000Z');
  expect(compose(pieces, [], false)).toBeNull();
  expect(compose([{ if: 'lsn', pieces, otherwise: [{ text: '-' }] }], [], false)?.toString()).toBe('-');
});

test('of three lists, the one for what the column is; text where nobody said', () => {
  const pieces: Piece[] = [
    {
      kindOf: 0,
      kinds: {
        text: [{ text: '"' }, { slot: 0, as: 'json' }, { text: '"' }],
        json: [{ slot: 0, as: 'raw' }],
        bytes: [{ slot: 0, as: 'base64' }],
      },
    },
  ];
  const value = [Buffer.from('{"a"}')];
  expect(compose(pieces, value)?.toString()).toBe('"{\\"a\\"}"');
  expect(compose(pieces, value, true, ['text'])?.toString()).toBe('"{\\"a\\"}"');
  expect(compose(pieces, value, true, ['json'])?.toString()).toBe('{"a"}');
  expect(compose(pieces, value, true, ['bytes'])?.toString()).toBe('eyJhIn0=');
});
