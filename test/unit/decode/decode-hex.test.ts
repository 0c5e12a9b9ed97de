import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeHexInPlace } from '../../../src/decode/decode-hex.ts';

test('any bytes are read back from their hex, in its place', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (value, isUpper) => {
      const hex = Buffer.from(value).toString('hex');
      const bytes = Buffer.from(`ab\\x${isUpper ? hex.toUpperCase() : hex}yz`);
      const length = decodeHexInPlace(bytes, 2, bytes.length - 4);
      expect(bytes.subarray(2, 2 + length)).toEqual(Buffer.from(value));
      expect(bytes.toString('latin1', 0, 2) + bytes.toString('latin1', bytes.length - 2)).toBe('abyz');
    }),
  );
});

test.each(['', '\\', 'x00', '\\x0', '\\x0g', '\\X00', '\\000', '\\x 1'])('%j is no hex', (text) => {
  expect(decodeHexInPlace(Buffer.from(text), 0, text.length)).toBe(-1);
});
