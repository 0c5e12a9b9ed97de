import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findMarker, formatMarker, markerOfFields } from '../../../src/bench/marker.ts';

const marker = fc.record({
  producer: fc.nat({ max: 10_000 }),
  number: fc.nat({ max: 1_000_000_000 }),
  intendedUs: fc.nat({ max: 2 ** 45 }),
  sentUs: fc.nat({ max: 2 ** 45 }),
});

describe('a marker', () => {
  test('is found as it was written, whatever stands around it', () => {
    fc.assert(
      fc.property(marker, fc.uint8Array(), fc.uint8Array(), (written, before, after) => {
        fc.pre(!Buffer.from(before).includes('~wb~'));
        const bytes = Buffer.concat([before, Buffer.from(formatMarker(written)), after]);
        expect(findMarker(bytes)).toEqual(written);
      }),
    );
  });

  test('is found in JSON within JSON', () => {
    const written = { producer: 3, number: 17, intendedUs: 123_456, sentUs: 123_470 };
    const payload = JSON.stringify({ m: formatMarker(written), pad: 'x' });
    const wrapped = Buffer.from(JSON.stringify({ payload, schema: null }));
    expect(findMarker(wrapped)).toEqual(written);
  });

  test.each([
    '',
    '~wb~',
    '~wb~1~2~3~',
    '~wb~1~2~3~4',
    '~wb~1~~3~4~',
    '~wb~1~x~3~4~',
    '~wb~1~2~3~1234567890123456~',
  ])('that is none, or cut off, is not found: %j', (text) => {
    expect(findMarker(Buffer.from(text))).toBeUndefined();
  });

  test('is found in whichever field of an entry holds it', () => {
    const written = { producer: 0, number: 0, intendedUs: 0, sentUs: 0 };
    const fields = ['id', 'some id', 'whatever', `{"a": "${formatMarker(written)}"}`].map((text) =>
      Buffer.from(text),
    );
    expect(markerOfFields(fields)).toEqual(written);
    expect(markerOfFields(fields.slice(0, 3))).toBeUndefined();
  });
});
