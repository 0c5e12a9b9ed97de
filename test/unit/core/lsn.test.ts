import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatLsn,
  type Lsn,
  lsnFromHex,
  lsnToHex,
  maxLsn,
  parseLsn,
  readLsn,
  toLsn,
} from '../../../src/core/lsn.ts';

const anyLsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(toLsn);

describe('the text form', () => {
  test.each<[string, bigint]>([
    ['0/0', 0n],
    ['0/1', 1n],
    ['16/B374D848', 0x16_b374d848n],
    ['FFFFFFFF/FFFFFFFF', 2n ** 64n - 1n],
    ['1/0', 2n ** 32n],
  ])('%s is %i', (text, value) => {
    expect(parseLsn(text)).toBe(value);
    expect(formatLsn(toLsn(value))).toBe(text);
  });

  test('may be lower case or have leading zeros when it is read', () => {
    expect(parseLsn('00000016/b374d848')).toBe(parseLsn('16/B374D848'));
  });

  test.each([
    '',
    '/',
    '0',
    '0/',
    '/0',
    '0/0/0',
    '123456789/0',
    '0/123456789',
    'G/0',
    ' 0/0',
    '0/0\n',
    '-1/0',
    '0x1/0',
  ])('%j is no LSN', (text) => {
    expect(() => parseLsn(text)).toThrow(RangeError);
  });

  test('is read back as what was written', () => {
    fc.assert(
      fc.property(anyLsn, (lsn) => {
        expect(parseLsn(formatLsn(lsn))).toBe(lsn);
      }),
    );
  });
});

describe('the hex form', () => {
  test('is sixteen upper-case digits, and is read back', () => {
    fc.assert(
      fc.property(anyLsn, (lsn) => {
        expect(lsnToHex(lsn)).toMatch(/^[0-9A-F]{16}$/);
        expect(lsnFromHex(lsnToHex(lsn))).toBe(lsn);
      }),
    );
  });

  test('sorts as text as it does as a number', () => {
    fc.assert(
      fc.property(anyLsn, anyLsn, (a, b) => {
        expect(lsnToHex(a) < lsnToHex(b)).toBe(a < b);
      }),
    );
  });

  test.each(['', '0', '000000000000000a', '0000000000000000A', 'G000000000000000', '0x00000000000000'])(
    '%j is refused',
    (hex) => {
      expect(() => lsnFromHex(hex)).toThrow(RangeError);
    },
  );
});

test('64 bits and no more make an LSN', () => {
  expect(() => toLsn(-1n)).toThrow(RangeError);
  expect(() => toLsn(2n ** 64n)).toThrow(RangeError);
});

test('an LSN in a message is eight bytes, the highest first', () => {
  expect(readLsn(Buffer.from('00ffffffffffffff0000', 'hex'), 1)).toBe(0xffff_ffff_ffff_ff00n);
});

test('of two LSNs the later is the larger one', () => {
  fc.assert(
    fc.property(anyLsn, anyLsn, (a: Lsn, b: Lsn) => {
      expect(maxLsn(a, b)).toBe(a < b ? b : a);
    }),
  );
});
