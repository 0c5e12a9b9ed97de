import { expect, test } from 'vitest';
import type { EntryShape } from '../../../src/core/entry-shape.ts';
import { checkComposedSize } from '../../../src/sink/composed-size.ts';
import { type PackedShape, packShapes } from '../../../src/sink/packed-shapes.ts';
import { NATIVE_OUTBOX } from '../../support/native-outbox.ts';
import { thrownCode } from '../thrown-code.ts';

const SHAPE: EntryShape = {
  fields: [{ name: 'data', value: { from: 'pieces', pieces: [{ slot: 0, as: 'json' }] } }],
  roles: NATIVE_OUTBOX.shapes[0]!.roles,
};
const PACKED = packShapes([SHAPE], { hasPosition: false }).shapes[0] as PackedShape;

function check(value: string, eventBytesMax: number): void {
  const bytes = Buffer.from(value);
  const event = {
    bytes,
    starts: Int32Array.of(0),
    lengths: Int32Array.of(bytes.length),
    kinds: [],
    transaction: null,
    ordinal: 0,
  };
  checkComposedSize(PACKED, event, eventBytesMax, 's');
}

test('an event that outgrows the limit only in its format is too large, and to the byte', () => {
  check('\u0001'.repeat(100), 600);
  expect(thrownCode(() => check('\u0001'.repeat(100), 599))).toBe('EVENT_TOO_LARGE');
  check('a'.repeat(100), 100);
  expect(thrownCode(() => check('a'.repeat(100), 99))).toBe('EVENT_TOO_LARGE');
});
