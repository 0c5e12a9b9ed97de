import type { Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { type OutboxColumns, ROLE, ROLE_COUNT, type Relation } from '../decode/outbox-columns.ts';
import { findNameFault, StreamRouter } from '../route/stream-router.ts';
import { parseStreamTemplate, type StreamTemplate } from '../route/stream-template.ts';
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
  /** `laneOf` gives the number of a stream's lane; without it, all are of one. */
  createRouter(laneOf?: (stream: string) => number): StreamRouter;
}

/** The names that a template may use whatever the columns are called. */
const ROLE_BY_PLACEHOLDER: Readonly<Record<string, number>> = {
  id: ROLE.id,
  type: ROLE.type,
  aggregatetype: ROLE.aggregateType,
  aggregateid: ROLE.aggregateId,
};

/** `renamedOid`: of the table that this process has been reading, when it goes by another name by now. */
export function outboxShape(settings: Settings, renamedOid?: number): OutboxShape {
  const template = parseStreamTemplate(settings.stream);
  const names: string[] = [];
  names[ROLE.id] = settings.columnId;
  names[ROLE.type] = settings.columnType;
  names[ROLE.aggregateType] = settings.columnAggregateType;
  names[ROLE.aggregateId] = settings.columnAggregateId;
  names[ROLE.payload] = settings.columnPayload;
  if (names.length !== ROLE_COUNT) throw new WalrelayError('BUG', 'a role without a column');

  const templateSlots = template.placeholders.map((placeholder) => {
    const role = ROLE_BY_PLACEHOLDER[placeholder];
    if (role !== undefined) return role;
    const known = names.indexOf(placeholder);
    return known === -1 ? names.push(placeholder) - 1 : known;
  });
  const fault = template.placeholders.length === 0 ? findNameFault(template.text, settings.metaKey) : null;
  if (fault !== null) {
    throw new WalrelayError('CONFIG_INVALID', `WALRELAY_STREAM: ${JSON.stringify(template.text)} ${fault}`);
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
    createRouter: (laneOf) => new StreamRouter(template, templateSlots, settings.metaKey, laneOf),
  };
}
