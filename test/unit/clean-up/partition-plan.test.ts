import { describe, expect, test } from 'vitest';
import type { TablePartition } from '../../../src/clean-up/cleaned-table.ts';
import { DAY_US, daysCovered, partitionName, planPartitions } from '../../../src/clean-up/partition-plan.ts';

const TODAY_US = Date.UTC(2026, 10, 21) * 1000;
const day = (from: number, to = from + 1): TablePartition => ({
  oid: 1000 + from,
  name: `p${from}`,
  isDefault: false,
  fromUs: TODAY_US + from * DAY_US,
  toUs: TODAY_US + to * DAY_US,
});
const plan = (partitions: TablePartition[], nowUs = TODAY_US + 5, retentionMs = 2 * 86_400_000) => {
  const { missingDaysUs, expired } = planPartitions({ nowUs, retentionMs, daysAhead: 2, partitions });
  return {
    missing: missingDaysUs.map((us) => (us - TODAY_US) / DAY_US),
    expired: expired.map(({ name }) => name),
  };
};

describe('partitions', () => {
  test('are missing for today and the days ahead', () => {
    expect(plan([])).toEqual({ missing: [0, 1, 2], expired: [] });
    expect(plan([day(0), day(1)])).toEqual({ missing: [2], expired: [] });
  });

  test('of another width than a day are let be, and none is made beside them', () => {
    expect(plan([day(0, 30)]).missing).toEqual([]);
    expect(plan([day(0, 0.5), day(1, 1.25)]).missing).toEqual([2]);
  });

  test('are past the retention when their last moment is, and not an instant before', () => {
    const partitions = [day(-4), day(-3), day(-2), day(0), day(1), day(2)];
    expect(plan(partitions, TODAY_US).expired).toEqual(['p-4', 'p-3']);
    expect(plan(partitions, TODAY_US - 1).expired).toEqual(['p-4']);
  });

  test('without an end, and the default one, are never past it', () => {
    const endless = { ...day(-9), toUs: null };
    const rest = { ...day(-9), isDefault: true, fromUs: null, toUs: null };
    expect(plan([endless, rest]).expired).toEqual([]);
    // One without an end covers all days to come; the default one none.
    expect(plan([endless]).missing).toEqual([]);
    expect(plan([rest]).missing).toEqual([0, 1, 2]);
  });

  test('that lie ahead are counted up to the first gap', () => {
    expect(daysCovered(TODAY_US, [day(0), day(1), day(3)])).toBe(2);
    expect(daysCovered(TODAY_US, [day(1)])).toBe(0);
  });

  test('are named after their table and day, cut where Postgres would cut the day off', () => {
    expect(partitionName('outbox', TODAY_US)).toBe('outbox_p20261121');
    const name = partitionName('é'.repeat(31), TODAY_US);
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect(name).toMatch(/^é+_p20261121$/);
  });
});
