import type { Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { type OutboxColumns, ROLE, ROLE_COUNT, type Relation } from '../decode/outbox-columns.ts';
import { type EventColumns, eventColumns } from '../route/event-columns.ts';
import type { StreamTemplate } from '../route/stream-template.ts';
import type { Expectations } from '../source/preflight.ts';

/** What the settings say about the table: which columns are read, and how a stream's name is made of them. */
export interface OutboxShape {
  readonly columns: OutboxColumns;
  readonly template: StreamTemplate;
  /** For each placeholder of the template, the decoder's slot of its column. */
  readonly templateSlots: readonly number[];
  readonly expected: Expectations;
  /**
   * Whether a relation is the outbox: by OID, so that a rename loses nothing; by name, so that WAL from before the
   * table was re-created is read too.
   */
  isOutbox(relation: Relation, tableOid: number): boolean;
  readonly createRouter: EventColumns['createRouter'];
}

/** `renamedOid`: of the table that this process has been reading, when it goes by another name by now. */
export function outboxShape(settings: Settings, renamedOid?: number): OutboxShape {
  const { names, template, templateSlots, createRouter } = eventColumns(settings);
  const byRole: string[] = [];
  byRole[ROLE.id] = settings.columnId;
  byRole[ROLE.type] = settings.columnType;
  byRole[ROLE.aggregateType] = settings.columnAggregateType;
  byRole[ROLE.aggregateId] = settings.columnAggregateId;
  byRole[ROLE.payload] = settings.columnPayload;
  if (byRole.length !== ROLE_COUNT || byRole.some((name, role) => name !== names[role])) {
    throw new WalrelayError('BUG', "the columns of an event don't stand in the order of its roles");
  }
  const { table } = settings;
  return {
    columns: { names },
    template,
    templateSlots,
    expected: {
      table,
      publication: settings.publication,
      slot: settings.slot,
      columns: names,
      ...(renamedOid === undefined ? {} : { tableOid: renamedOid }),
    },
    isOutbox: (relation, tableOid) =>
      relation.oid === tableOid || (relation.schema === table.schema && relation.table === table.name),
    createRouter,
  };
}
