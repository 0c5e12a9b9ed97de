import type { TimeRange } from '../audit/row-sql.ts';
import type { OutboxSettings } from '../config/settings.ts';
import { nameSetting } from '../core/name-setting.ts';
import { WalrelayError } from '../core/walrelay-error.ts';

export interface RangeOptions {
  readonly from?: bigint;
  readonly to?: bigint;
  readonly last?: bigint;
}

/** What `--from`, `--to` and `--last` say together. Throws CONFIG_INVALID when they contradict each other. */
export function timeRange(
  { from, to, last }: RangeOptions,
  outboxes: readonly Pick<OutboxSettings, 'columnTime' | 'place'>[],
  nowMs: number,
): TimeRange {
  if (last !== undefined && (from !== undefined || to !== undefined)) {
    throw new WalrelayError('CONFIG_INVALID', '--last goes with neither --from nor --to');
  }
  const fromUs = last === undefined ? (from ?? null) : BigInt(nowMs) * 1000n - last;
  const toUs = to ?? null;
  const timeless = outboxes.find(({ columnTime }) => columnTime === null);
  if (timeless !== undefined && (fromUs !== null || toUs !== null)) {
    throw new WalrelayError('CONFIG_INVALID', 'a range of time needs a time column', {
      hint: `Name the column that says when a row was inserted: ${nameSetting(timeless, 'columnTime')}, or --column-time.`,
    });
  }
  if (fromUs !== null && toUs !== null && fromUs >= toUs) {
    throw new WalrelayError('CONFIG_INVALID', '--from has to be before --to');
  }
  return { fromUs, toUs };
}
