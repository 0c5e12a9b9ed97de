import { WalrelayError } from '../core/walrelay-error.ts';
import { hasTable, requireTable, type TableOutbox } from './outbox-source.ts';
import type { OutboxSettings, Settings } from './settings.ts';
import { formatTableName, parseTableName } from './table-name.ts';

/** The outboxes that a command is about: the one of this name (or table), or all. Throws CONFIG_INVALID for one that is none. */
export function selectOutboxes(settings: Settings, named: string | undefined): readonly OutboxSettings[] {
  if (named === undefined) return settings.outboxes;
  const table = parseTableName(named);
  const found = settings.outboxes.filter(
    (outbox) =>
      outbox.name === named ||
      (table !== undefined && hasTable(outbox) && formatTableName(outbox.table) === formatTableName(table)),
  );
  if (found.length > 0) return found;
  const known = settings.outboxes.map(({ name }) => name).join(', ');
  throw new WalrelayError(
    'CONFIG_INVALID',
    `--outbox ${named}: there is no such outbox; there are: ${known}`,
  );
}

/** Those of them that have a table. `needs`: why others will not do. Throws CONFIG_INVALID when none has, or the named one not. */
export function selectTables(
  settings: Settings,
  named: string | undefined,
  needs: string,
): readonly TableOutbox[] {
  const selected = selectOutboxes(settings, named);
  const tables = selected.filter(hasTable);
  return named === undefined && tables.length > 0
    ? tables
    : selected.map((outbox) => requireTable(outbox, needs));
}

/** The outbox that a command is about which can only be about one. */
export function selectOutbox(settings: Settings, named: string | undefined, command: string): OutboxSettings {
  const [only, ...others] = selectOutboxes(settings, named);
  if (only !== undefined && others.length === 0) return only;
  const known = settings.outboxes.map(({ name }) => name).join(', ');
  throw new WalrelayError(
    'CONFIG_INVALID',
    `${command} is about one outbox, and the settings have several: ${known}`,
    {
      hint: 'Choose one with --outbox.',
    },
  );
}
