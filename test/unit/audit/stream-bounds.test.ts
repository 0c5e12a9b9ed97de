import { describe, expect, test } from 'vitest';
import { formatUs } from '../../../src/audit/audit-report.ts';
import { StreamBounds, type StreamFacts } from '../../../src/audit/stream-bounds.ts';
import { parseCommittedAtUs } from '../../../src/sink/commit-time.ts';

const whole: StreamFacts = { exists: true, hasLostEntries: false, firstCommittedAtUs: 10_000_000n };
const trimmed: StreamFacts = { exists: true, hasLostEntries: true, firstCommittedAtUs: 50_000_000n };
const emptied: StreamFacts = { exists: true, hasLostEntries: true, firstCommittedAtUs: null };
const gone: StreamFacts = { exists: false, hasLostEntries: false, firstCommittedAtUs: null };
const bounds = new StreamBounds([whole, trimmed, emptied, gone], false);

describe('a row without an entry', () => {
  test.each([
    ['of a whole stream is missing', 0, 20_000_000n, 'missing'],
    ['that is older than every entry may be older than the relay', 0, 9_999_999n, 'older'],
    ['without a time can not be told', 0, null, 'older'],
    ['from before the first entry of a trimmed stream may have been trimmed', 1, 40_000_000n, 'trimmed'],
    ['less than a second behind it, too', 1, 51_000_000n, 'trimmed'],
    ['well behind it is missing', 1, 51_000_001n, 'missing'],
    ['of an emptied stream may have been trimmed at any time', 2, 90_000_000n, 'trimmed'],
    ['of a stream that does not exist is missing', 3, 20_000_000n, 'missing'],
  ] as const)('%s', (_, stream, timeUs, expected) => {
    expect(bounds.judge(stream, timeUs)).toBe(expected);
  });

  test('is missing wherever it is when the operator says that all should be there', () => {
    expect(new StreamBounds([emptied], true).judge(0, null)).toBe('missing');
  });

  test('can not be told while no stream has a first entry', () => {
    expect(new StreamBounds([gone], false).judge(0, 20_000_000n)).toBe('older');
  });
});

test('a commit time is read to the microsecond and written as it was', () => {
  const text = '2026-11-21T08:30:00.123456Z';
  expect(formatUs(parseCommittedAtUs(text) ?? 0n)).toBe(text);
  expect(parseCommittedAtUs('2026-11-21')).toBeNull();
  expect(parseCommittedAtUs(undefined)).toBeNull();
  expect(formatUs(-1n)).toBe('1969-12-31T23:59:59.999999Z');
});
