import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseLsn, toLsn } from '../../../src/core/lsn.ts';
import {
  comparePositions,
  formatPosition,
  ORIGIN,
  type Position,
  positionFromHex,
  positionToHex,
} from '../../../src/core/position.ts';

/** As many as twelve hex digits can count. */
const ORDINAL_MAX = 0xffff_ffff_ffff;

const anyPosition = fc
  .record({
    commitLsn: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 1n, 2n ** 63n)),
    ordinal: fc.oneof(fc.integer({ min: 0, max: ORDINAL_MAX }), fc.constantFrom(0, 1, ORDINAL_MAX)),
  })
  .map(({ commitLsn, ordinal }): Position => ({ commitLsn: toLsn(commitLsn), ordinal }));

test('a position is 28 hex digits, and is read back', () => {
  expect(positionToHex({ commitLsn: parseLsn('16/B374D848'), ordinal: 255 })).toBe(
    '00000016B374D8480000000000FF',
  );
  fc.assert(
    fc.property(anyPosition, (position) => {
      expect(positionToHex(position)).toMatch(/^[0-9A-F]{28}$/);
      expect(positionFromHex(positionToHex(position))).toEqual(position);
    }),
  );
});

test('positions stand in the order of their commit LSNs, then of their ordinals, as text too', () => {
  fc.assert(
    fc.property(anyPosition, anyPosition, fc.boolean(), (a, b, isSameTransaction) => {
      const other = isSameTransaction ? { ...b, commitLsn: a.commitLsn } : b;
      const order = Math.sign(comparePositions(a, other));
      const texts = [positionToHex(a), positionToHex(other)] as const;
      expect(order).toBe(texts[0] < texts[1] ? -1 : Number(texts[0] > texts[1]));
      expect(Math.sign(comparePositions(other, a)) + order).toBe(0);
    }),
  );
});

test('nothing stands before the origin', () => {
  fc.assert(
    fc.property(anyPosition, (position) => {
      expect(comparePositions(ORIGIN, position)).toBeLessThanOrEqual(0);
    }),
  );
});

test.each(['', '0'.repeat(27), '0'.repeat(29), 'a'.repeat(28), `${'0'.repeat(27)}G`])(
  '%j is no position',
  (hex) => {
    expect(() => positionFromHex(hex)).toThrow(RangeError);
  },
);

test('people read it as an LSN and a number', () => {
  expect(formatPosition({ commitLsn: parseLsn('0/1A2B3C4D'), ordinal: 5 })).toBe('0/1A2B3C4D #5');
});
