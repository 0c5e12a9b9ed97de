import type { Settings } from '../config/settings.ts';
import { eventColumns } from '../route/event-columns.ts';
import type { StreamRouter } from '../route/stream-router.ts';
import type { QualifiedName } from '../source/sql.ts';

/** What the settings say about the table: which columns are read, in which order, and what becomes of a row. */
export interface PolledTable {
  readonly name: QualifiedName;
  /** The columns of a claimed row: the entry's five in the order of its fields, then what else the stream's name needs. */
  readonly columns: readonly string[];
  readonly orderColumn: string;
  /** The column that is set when a row was published; null when rows are deleted. */
  readonly markColumn: string | null;
  readonly createRouter: () => StreamRouter;
}

export function polledTable(settings: Settings): PolledTable {
  const { names, createRouter } = eventColumns(settings);
  return {
    name: settings.table,
    columns: names,
    orderColumn: settings.pollOrderColumn,
    markColumn: settings.pollAfter === 'mark' ? settings.pollMarkColumn : null,
    createRouter,
  };
}
