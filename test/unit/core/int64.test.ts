import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { highHalf, lowHalf, readInt64, readUint32, readUint64 } from '../../../src/core/int64.ts';

const OFFSET = 3;

test('every 64 bits are read as Buffer reads them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: OFFSET + 8, maxLength: OFFSET + 9 }), (array) => {
      const bytes = Buffer.from(array);
      expect(readUint64(bytes, OFFSET)).toBe(bytes.readBigUInt64BE(OFFSET));
      expect(readInt64(bytes, OFFSET)).toBe(bytes.readBigInt64BE(OFFSET));
      expect(readUint32(bytes, OFFSET)).toBe(bytes.readUInt32BE(OFFSET));
    }),
  );
});

test('the halves of a value make the value', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }), (value) => {
      expect((BigInt(highHalf(value)) << 32n) | BigInt(lowHalf(value))).toBe(value);
    }),
  );
});
