import { requireTable } from '../config/outbox-source.ts';
import { selectOutbox } from '../config/select-outbox.ts';
import type { Settings } from '../config/settings.ts';
import { compileOutbox, type Outbox } from '../route/outbox.ts';
import type { QualifiedName } from '../source/sql.ts';

/** What the settings say about the table: which columns are read, in which order, and what becomes of a row. */
export interface PolledTable {
  readonly name: QualifiedName;
  readonly outbox: Outbox;
  /** The columns of a claimed row, by slot. */
  readonly columns: readonly string[];
  readonly orderColumn: string;
  /** The column that is set when a row was published; null when rows are deleted. */
  readonly markColumn: string | null;
}

/** Throws CONFIG_INVALID when there are several: claims of two tables have no order among them. */
export function polledTable(settings: Settings): PolledTable {
  const polled = requireTable(selectOutbox(settings, undefined, 'walrelay poll'), 'polling reads the table');
  const outbox = compileOutbox(polled, settings);
  return {
    name: polled.table,
    outbox,
    columns: outbox.columns,
    orderColumn: settings.pollOrderColumn,
    markColumn: settings.pollAfter === 'mark' ? settings.pollMarkColumn : null,
  };
}
