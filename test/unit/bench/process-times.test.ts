import { describe, expect, test } from 'vitest';
import { parseProcStat } from '../../../src/bench/process-times.ts';

describe('a line of /proc/<pid>/stat', () => {
  test('is read behind a name that holds anything', () => {
    const rest = 'S 1 2 3 4 5 6 7 8 9 10 111 222 13 14 15 16 17 18 333 20';
    expect(parseProcStat(`42 (post) gres ) ${rest}`)).toEqual({
      name: 'post) gres ',
      userTicks: 111,
      systemTicks: 222,
      startTicks: 333,
    });
  });

  test('that is none says nothing', () => {
    expect(parseProcStat('')).toBeUndefined();
    expect(parseProcStat('42 (postgres) S 1')).toBeUndefined();
  });
});
