import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatByteSize, parseByteSize } from '../../../src/config/byte-size.ts';

test.each([
  ['64MiB', 67_108_864],
  ['512kB', 512_000],
  ['512 kB', 512_000],
  ['1048576', 1_048_576],
  ['1048576B', 1_048_576],
  ['2GiB', 2_147_483_648],
  ['0', 0],
])('%s is %d bytes', (text, bytes) => {
  expect(parseByteSize(text)).toBe(bytes);
});

test.each(['', ' ', '-1', '1.5MiB', 'MiB', '1 0', '64mib', '1e3', '999999999999999GiB', '1TB'])(
  '"%s" is no size',
  (text) => {
    expect(parseByteSize(text)).toBeUndefined();
  },
);

test('what is printed is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0 }), fc.constantFrom(1, 1024, 1024 ** 2), (count, unit) => {
      expect(parseByteSize(formatByteSize(count * unit))).toBe(count * unit);
    }),
  );
});
