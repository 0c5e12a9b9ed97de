import { describe, expect, test } from 'vitest';
import { span, time } from '../../../src/cli/time-arguments.ts';
import { timeRange } from '../../../src/cli/time-range.ts';
import { formatUs } from '../../../src/audit/audit-report.ts';
import { thrownCode } from '../thrown-code.ts';

describe('a time', () => {
  test.each([
    ['2026-11-21', '2026-11-21T00:00:00.000000Z'],
    ['2026-11-21T08:30', '2026-11-21T08:30:00.000000Z'],
    ['2026-11-21 08:30:15.123456', '2026-11-21T08:30:15.123456Z'],
    ['2026-11-21T08:30:00.5+01:00', '2026-11-21T07:30:00.500000Z'],
    ['2026-11-21 08:30-0530', '2026-11-21T14:00:00.000000Z'],
  ])('%s is %s', (text, expected) => {
    expect(formatUs(time(text))).toBe(expected);
  });

  test.each(['', 'yesterday', '2026-13-01', '21.11.2026', '2026-11-21T25:00', '2026-11-21T08:30 CET'])(
    '%j is refused',
    (text) => {
      expect(() => time(text)).toThrow('expected a time such as');
    },
  );
});

test('a span is a number with a unit', () => {
  expect([span('90s'), span('15m'), span('1h'), span('7d')]).toEqual([
    90_000_000n,
    900_000_000n,
    3_600_000_000n,
    604_800_000_000n,
  ]);
  for (const text of ['', '1', 'h', '-1h', '1.5h', '1w'])
    expect(() => span(text)).toThrow('expected a number');
});

describe('a range', () => {
  const settings = [{ columnTime: 'created_at', place: null }];

  test('counts --last back from now and has no end', () => {
    expect(timeRange({ last: 1_000_000n }, settings, 5_000)).toEqual({ fromUs: 4_000_000n, toUs: null });
  });

  test('is refused where it contradicts itself or the table has no time', () => {
    expect(thrownCode(() => timeRange({ last: 1n, to: 2n }, settings, 0))).toBe('CONFIG_INVALID');
    expect(thrownCode(() => timeRange({ from: 2n, to: 2n }, settings, 0))).toBe('CONFIG_INVALID');
    expect(
      thrownCode(() => timeRange({ from: 2n }, [...settings, { columnTime: null, place: null }], 0)),
    ).toBe('CONFIG_INVALID');
  });
});
