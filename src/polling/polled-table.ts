import type { Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { findNameFault, StreamRouter } from '../route/stream-router.ts';
import { parseStreamTemplate } from '../route/stream-template.ts';
import type { QualifiedName } from '../source/sql.ts';

/** What the settings say about the table: which columns are read, in which order, and what becomes of a row. */
export interface PolledTable {
  readonly name: QualifiedName;
  /** The columns of a claimed row: the entry's five in the order of its fields, then what else the stream's name needs. */
  readonly columns: readonly string[];
  readonly orderColumn: string;
  /** The column that is set when a row was published; null when rows are deleted. */
  readonly markColumn: string | null;
  createRouter(): StreamRouter;
}

export function polledTable(settings: Settings): PolledTable {
  const template = parseStreamTemplate(settings.stream);
  const columns = [
    settings.columnId,
    settings.columnType,
    settings.columnAggregateType,
    settings.columnAggregateId,
    settings.columnPayload,
  ];
  const slots = template.placeholders.map((placeholder) => {
    const role = SLOT_BY_PLACEHOLDER[placeholder];
    if (role !== undefined) return role;
    const known = columns.indexOf(placeholder);
    return known === -1 ? columns.push(placeholder) - 1 : known;
  });
  const fault = template.placeholders.length === 0 ? findNameFault(template.text, settings.metaKey) : null;
  if (fault !== null) {
    throw new WalrelayError('CONFIG_INVALID', `WALRELAY_STREAM: ${JSON.stringify(template.text)} ${fault}`);
  }
  return {
    name: settings.table,
    columns,
    orderColumn: settings.pollOrderColumn,
    markColumn: settings.pollAfter === 'mark' ? settings.pollMarkColumn : null,
    createRouter: () => new StreamRouter(template, slots, settings.metaKey),
  };
}

/** The names that a template may use whatever the columns are called, with their places in a claimed row. */
const SLOT_BY_PLACEHOLDER: Readonly<Record<string, number>> = {
  id: 0,
  type: 1,
  aggregatetype: 2,
  aggregateid: 3,
};
