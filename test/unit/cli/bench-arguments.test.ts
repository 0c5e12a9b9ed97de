import { describe, expect, test } from 'vitest';
import { events, ids, seconds, seed } from '../../../src/cli/bench-arguments.ts';

describe('an argument of bench', () => {
  test('names ids with commas between', () => {
    expect(ids('drain, steady-500,,idle ')).toEqual(['drain', 'steady-500', 'idle']);
    expect(ids('')).toEqual([]);
  });

  test('is a number within its bounds', () => {
    expect(seconds('2.5')).toBe(2.5);
    expect(events('500000')).toBe(500_000);
    expect(seed('0')).toBe(0);
  });

  test.each([
    ['seconds', seconds, ['', 'x', '0', '-1', '1e3', '0x10', '3601', ' 5']],
    ['events', events, ['999', '1e6', '100000001', 'many']],
    ['seed', seed, ['-1', '4294967296', '']],
  ] as const)('is refused when it is none: %s', (_, parse, refused) => {
    for (const text of refused) expect(() => parse(text)).toThrow(/expected a number from/);
  });
});
