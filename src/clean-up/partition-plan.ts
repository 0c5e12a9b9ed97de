import type { TablePartition } from './cleaned-table.ts';

/** Which daily partitions are to be made, and which are past the retention. Pure. */
export interface PartitionPlan {
  /** Days without any partition, as their first microsecond (UTC). */
  readonly missingDaysUs: readonly number[];
  readonly expired: readonly TablePartition[];
}

export function planPartitions(options: {
  readonly nowUs: number;
  readonly retentionMs: number;
  readonly daysAhead: number;
  readonly partitions: readonly TablePartition[];
}): PartitionPlan {
  const { nowUs, retentionMs, daysAhead, partitions } = options;
  const todayUs = Math.floor(nowUs / DAY_US) * DAY_US;
  const ranges = partitions.filter(({ isDefault }) => !isDefault);
  const days = Array.from({ length: daysAhead + 1 }, (_, day) => todayUs + day * DAY_US);
  const lastExpiredUs = nowUs - retentionMs * 1000;
  return {
    // One that covers a part of the day is somebody's own: nothing can be made beside it.
    missingDaysUs: days.filter((dayUs) => !ranges.some((range) => isOverlapping(range, dayUs))),
    expired: ranges.filter(({ toUs }) => toUs !== null && toUs <= lastExpiredUs),
  };
}

/** Whole days from now on for which there is a partition. */
export function daysCovered(nowUs: number, partitions: readonly TablePartition[]): number {
  const todayUs = Math.floor(nowUs / DAY_US) * DAY_US;
  const ranges = partitions.filter(({ isDefault }) => !isDefault);
  let days = 0;
  while (days < DAYS_MAX && ranges.some((range) => isOverlapping(range, todayUs + days * DAY_US))) days += 1;
  return days;
}

/** `outbox_p20261121`, cut to what Postgres takes as a name. */
export function partitionName(table: string, dayUs: number): string {
  const suffix = `_p${new Date(dayUs / 1000).toISOString().slice(0, 10).replaceAll('-', '')}`;
  let base = table;
  while (Buffer.byteLength(base + suffix) > NAME_BYTES_MAX) base = base.replace(/.$/su, '');
  return base + suffix;
}

function isOverlapping({ fromUs, toUs }: TablePartition, dayUs: number): boolean {
  return (fromUs === null || fromUs < dayUs + DAY_US) && (toUs === null || toUs > dayUs);
}

export const DAY_US = 86_400_000_000;
const DAYS_MAX = 1000;
const NAME_BYTES_MAX = 63;
