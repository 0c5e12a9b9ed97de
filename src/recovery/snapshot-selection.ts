import { WalrelayError } from '../core/walrelay-error.ts';

/** Which rows a snapshot is of, and in which order: table by table, in the order of the list. */
export interface SnapshotSelection {
  readonly tables: readonly TableChoice[];
  /** A literal of the order column: only rows from there on. */
  readonly since: string | null;
  /** A condition of SQL: only rows that fulfil it. */
  readonly where: string | null;
}

export interface TableChoice {
  /** The outbox's name. */
  readonly outbox: string;
  readonly orderColumn: string;
}

/** What an operator said of the rows; undefined where nothing. */
export interface GivenSelection {
  /** An outbox's name. */
  readonly outbox: string | undefined;
  readonly orderColumn: string | undefined;
  readonly since: string | undefined;
  readonly where: string | undefined;
}

/**
 * The rows of a snapshot and their order. One that goes on is of the same rows as the one that was interrupted, as the lane
 * state remembers them; to say something else is an error, since nobody could tell what the streams then hold.
 * `outboxes`: those of the settings, each with the order that it has if nothing else is said.
 */
export function chooseSelection(
  given: GivenSelection,
  remembered: string | null,
  outboxes: readonly TableChoice[],
): SnapshotSelection {
  if (remembered !== null) return sameAsBefore(given, remembered, outboxes);
  const tables = outboxes
    .filter(({ outbox }) => given.outbox === undefined || outbox === given.outbox)
    .map(({ outbox, orderColumn }) => ({ outbox, orderColumn: given.orderColumn ?? orderColumn }));
  const filter = given.where !== undefined ? '--where' : given.since !== undefined ? '--since' : null;
  if (filter !== null && tables.length > 1) {
    throw new WalrelayError(
      'CONFIG_INVALID',
      `${filter} is about the rows of one table, and the settings have several: ${namesOf(tables)}`,
      { hint: 'Take one snapshot after the other, each with --outbox NAME, before a relay starts.' },
    );
  }
  return { tables, since: given.since ?? null, where: given.where ?? null };
}

export function rememberSelection({ tables, since, where }: SnapshotSelection): string {
  return JSON.stringify({
    tables: tables.map(({ outbox, orderColumn }) => ({ outbox, orderColumn })),
    since,
    where,
  });
}

function sameAsBefore(
  given: GivenSelection,
  remembered: string,
  outboxes: readonly TableChoice[],
): SnapshotSelection {
  const before = JSON.parse(remembered) as SnapshotSelection;
  const { tables, since, where } = before;
  const [first] = tables;
  const refuse = (option: string, was: string) =>
    new WalrelayError('CONFIG_INVALID', `${option}: the snapshot that was interrupted began ${was}`, {
      hint: 'Leave --outbox, --where, --since and --order-by out: it goes on with what it began with.',
    });
  if (given.outbox !== undefined && (tables.length > 1 || first?.outbox !== given.outbox))
    throw refuse('--outbox', `with ${namesOf(tables)}`);
  const order = tables.find(
    ({ orderColumn }) => given.orderColumn !== undefined && orderColumn !== given.orderColumn,
  );
  if (order !== undefined)
    throw refuse('--order-by', `with --order-by ${JSON.stringify(order.orderColumn)} for ${order.outbox}`);
  for (const [option, now, then] of [
    ['--since', given.since, since],
    ['--where', given.where, where],
  ] as const) {
    if (now === undefined || now === then) continue;
    throw refuse(option, then === null ? `without ${option}` : `with ${option} ${JSON.stringify(then)}`);
  }
  const gone = tables.find(({ outbox }) => outboxes.every((known) => known.outbox !== outbox));
  if (gone === undefined) return before;
  throw new WalrelayError(
    'CONFIG_INVALID',
    `the snapshot that was interrupted is of ${namesOf(tables)}; the settings have ${namesOf(outboxes)}`,
    { hint: `Give the outbox its name ${gone.outbox} again until the snapshot has ended.` },
  );
}

function namesOf(tables: readonly TableChoice[]): string {
  return tables.map(({ outbox }) => outbox).join(', ');
}
