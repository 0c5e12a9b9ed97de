import { WalrelayError } from '../core/walrelay-error.ts';
import type { RowSelection } from './check-readable.ts';

/** What an operator said of the rows; undefined where nothing. */
export type GivenSelection = { readonly [Name in keyof RowSelection]: string | undefined };

/**
 * The rows of a snapshot and their order. One that goes on is of the same rows as the one that was interrupted, as the lane
 * state remembers them; to say something else is an error, since nobody could tell what the streams then hold.
 */
export function chooseSelection(
  given: GivenSelection,
  remembered: string | null,
  orderColumn: string,
): RowSelection {
  if (remembered === null) {
    return {
      orderColumn: given.orderColumn ?? orderColumn,
      since: given.since ?? null,
      where: given.where ?? null,
    };
  }
  const before = JSON.parse(remembered) as RowSelection;
  for (const [name, option] of OPTIONS) {
    if (given[name] === undefined || given[name] === before[name]) continue;
    const was =
      before[name] === null ? `without ${option}` : `with ${option} ${JSON.stringify(before[name])}`;
    throw new WalrelayError('CONFIG_INVALID', `${option}: the snapshot that was interrupted began ${was}`, {
      hint: 'Leave --where, --since and --order-by out: it goes on with what it began with.',
    });
  }
  return before;
}

export function rememberSelection({ orderColumn, since, where }: RowSelection): string {
  return JSON.stringify({ orderColumn, since, where });
}

const OPTIONS = [
  ['orderColumn', '--order-by'],
  ['since', '--since'],
  ['where', '--where'],
] as const;
