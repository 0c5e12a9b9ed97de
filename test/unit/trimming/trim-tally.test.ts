import { describe, expect, test } from 'vitest';
import type { SlowestGroup, TrimLimits, TrimRule, TrimStep } from '../../../src/sink/stream-trimmer.ts';
import { TrimTally } from '../../../src/trimming/trim-tally.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = 100 * HOUR_MS;
type FixedRule = Omit<TrimRule, 'limitsOf'> & TrimLimits;
const RULE: FixedRule = { mode: 'safe', lengthMax: null, ageMaxMs: HOUR_MS, ignoredGroups: [] };

function step(slowest: Partial<SlowestGroup> | null, length = 10): TrimStep {
  return {
    removed: 0,
    length,
    firstId: '1-0',
    lastId: '2-0',
    nowMs: NOW_MS,
    groups: slowest === null ? 0 : 1,
    slowest: slowest === null ? null : { name: 'g', unreadId: null, pending: 0, lag: 0, ...slowest },
  };
}

function tallyOf(rule: FixedRule, ...steps: TrimStep[]): TrimTally {
  const tally = new TrimTally({ ...rule, limitsOf: () => rule }, 2 * HOUR_MS);
  steps.forEach((first, index) => tally.add(`s${index}`, { first, last: first, removed: 3 }));
  return tally;
}

const unreadSince = (hours: number) => ({ unreadId: `${NOW_MS - hours * HOUR_MS}-5` });

describe('a group holds up', () => {
  test('when what it keeps is due, and older than is to be warned of', () => {
    const tally = tallyOf(RULE, step(unreadSince(3)), step(unreadSince(1.5)), step({}));
    expect(tally.heldUp).toEqual([
      { stream: 's0', group: 'g', unreadMs: 3 * HOUR_MS, pending: 0, lag: 0, entries: 10 },
    ]);
    expect(tally.heldUpCount).toBe(1);
  });

  test('not when the age or the length would keep it anyway', () => {
    expect(tallyOf({ ...RULE, ageMaxMs: 5 * HOUR_MS }, step(unreadSince(3))).heldUp).toEqual([]);
    const byLength = { ...RULE, ageMaxMs: null, lengthMax: 10 };
    expect(tallyOf(byLength, step(unreadSince(3), 10)).heldUpCount).toBe(0);
    expect(tallyOf(byLength, step(unreadSince(3), 11)).heldUpCount).toBe(1);
  });

  test('and of many streams the ten that it holds for longest are named', () => {
    const tally = tallyOf(RULE, ...Array.from({ length: 40 }, (_, index) => step(unreadSince(3 + index))));
    expect(tally.heldUpCount).toBe(40);
    expect(tally.heldUp.map(({ stream }) => stream)).toEqual(
      Array.from({ length: 10 }, (_, index) => `s${39 - index}`),
    );
  });
});

test('each group is told by its oldest entry of all streams, 0 when it has acknowledged everything', () => {
  const tally = tallyOf(RULE, step(unreadSince(1)), step(unreadSince(2)), step({ name: 'idle' }));
  expect([...tally.slowestMs]).toEqual([
    ['g', 2 * HOUR_MS],
    ['idle', 0],
  ]);
  expect(tally).toMatchObject({ entries: 9, streams: 3, trimmedStreams: 3 });
});

test('a stream without a group counts only where groups do', () => {
  expect(tallyOf(RULE, step(null), step({}))).toMatchObject({ withoutGroupsCount: 1, withoutGroups: ['s0'] });
  expect(tallyOf({ ...RULE, mode: 'even-unread' }, step(null)).withoutGroupsCount).toBe(0);
});
