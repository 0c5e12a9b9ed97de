import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadRecording, pgoutputMessages } from '../recording.ts';
import { thrownCode } from '../thrown-code.ts';
import { CollectedEvents } from './collected-events.ts';
import { begin, insert, NAMES, relation } from './pgoutput-messages.ts';

const messages = pgoutputMessages(loadRecording(17)).filter((message) => message.length < 2000);
const textOrNull = fc.option(fc.string({ unit: 'binary', maxLength: 40, size: 'max' }));
const row = fc.tuple(textOrNull, textOrNull, textOrNull, textOrNull, textOrNull);

const edit = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('add' as const), at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({
    kind: fc.constant('length' as const),
    at: fc.nat(),
    value: fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe, 0x1_0000, 0xff),
  }),
);

test('a recorded stream with any damage decodes up to it, and is then refused as a protocol error', () => {
  fc.assert(
    fc.property(
      fc.nat(messages.length - 1),
      fc.array(edit, { minLength: 1, maxLength: 3, size: 'max' }),
      (index, edits) => {
        const collected = new CollectedEvents(NAMES, ({ table }) => table === 'outbox');
        const stream = messages.slice(0, index + 2);
        stream[index] = edits.reduce(damage, messages[index]!);
        expect(EXPECTED).toContain(firstRefusal(collected, stream));
      },
    ),
    { numRuns: 400 },
  );
});

test('recorded messages in any order decode or are refused', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...messages), { maxLength: 12, size: 'max' }), (stream) => {
      const collected = new CollectedEvents(NAMES, ({ table }) => table === 'outbox');
      expect(EXPECTED).toContain(firstRefusal(collected, stream));
    }),
    { numRuns: 300 },
  );
});

test('random bytes behind every kind of message decode or are refused', () => {
  const kind = fc.constantFrom(...Array.from('BCRIUDTYOM')).map((letter) => Buffer.from(letter));
  const message = fc
    .tuple(kind, fc.uint8Array({ maxLength: 60, size: 'max' }))
    .map(([letter, rest]) => Buffer.concat([letter, rest]));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4, size: 'max' }), (stream) => {
      const collected = inTransaction();
      expect(EXPECTED).toContain(firstRefusal(collected, stream));
    }),
    { numRuns: 600 },
  );
});

test('an insert that is accepted says every byte of its message, damaged or not', () => {
  fc.assert(
    fc.property(row, fc.array(edit, { maxLength: 2, size: 'max' }), (values, edits) => {
      const message = edits.reduce(damage, insert(values));
      const collected = inTransaction();
      const refusal = firstRefusal(collected, [message]);
      expect(EXPECTED).toContain(refusal);
      if (refusal !== null || message[0] !== 0x49) return;
      // A value that is not UTF-8 is not the same bytes any more once it is a string.
      const event = collected.transactions[0]!.events[0]!;
      const isLossless = event.every((value) => value === null || !value.includes('\ufffd'));
      expect(isLossless ? insert(event) : message).toEqual(message);
    }),
    { numRuns: 600 },
  );
});

test('what stands before and behind a message changes nothing: it is never read', () => {
  fc.assert(
    fc.property(
      row,
      fc.array(edit, { maxLength: 2, size: 'max' }),
      fc.boolean(),
      (values, edits, isRelation) => {
        const message = edits.reduce(damage, isRelation ? relation() : insert(values));
        const outcomes = [
          Buffer.alloc(0),
          Buffer.alloc(64),
          Buffer.alloc(64, 0xff),
          Buffer.alloc(64, 't\0\0\0\x01x'),
        ].map((around) => outcomeOf(Buffer.concat([around, message, around]), around.length, message.length));
        for (const outcome of outcomes) expect(outcome).toEqual(outcomes[0]);
      },
    ),
    { numRuns: 300 },
  );
});

function inTransaction(): CollectedEvents {
  return new CollectedEvents(NAMES).decode(begin(1n)).decode(relation());
}

/** Null: everything was decoded. COLUMN_MISSING: the damaged name of a column. */
const EXPECTED = [null, 'PG_PROTOCOL', 'COLUMN_MISSING'];

/** Decodes up to the first refusal and returns its code. A message that is refused must not reach the handler. */
function firstRefusal(collected: CollectedEvents, stream: readonly Buffer[]): string | null {
  for (const message of stream) {
    const code = thrownCode(() => collected.decode(message));
    if (code !== null) return collected.callCount === 0 ? code : 'the handler was called';
    if (collected.callCount > 1) return 'the handler was called twice';
  }
  return null;
}

function outcomeOf(bytes: Buffer, start: number, length: number): unknown {
  const collected = inTransaction();
  try {
    return collected.decode(bytes, start, start + length).transactions;
  } catch (error) {
    return (error as Error).message;
  }
}

function damage(message: Buffer, change: typeof edit extends fc.Arbitrary<infer T> ? T : never): Buffer {
  if (message.length === 0) return message;
  const at = change.at % message.length;
  const bytes = Buffer.from(message);
  switch (change.kind) {
    case 'set':
      bytes[at] = change.byte;
      return bytes;
    case 'cut':
      return bytes.subarray(0, at);
    case 'remove':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    case 'add':
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([change.byte]), bytes.subarray(at)]);
    case 'length':
      if (at + 4 <= bytes.length) bytes.writeUInt32BE(change.value, at);
      return bytes;
  }
}
