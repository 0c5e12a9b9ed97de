import type { EntryField, EntryRoles, EntryShape } from '../core/entry-shape.ts';
import type { OutboxMapping } from '../core/outbox-mapping.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { nativeShape } from './native-shape.ts';
import { findNameFault, type Stream, StreamRouter } from './stream-router.ts';
import { parseStreamTemplate, type StreamTemplate } from './stream-template.ts';

/**
 * An outbox, compiled: one captured table with its mapping and routes. What the relay reads of a row, how an entry is made
 * of it and which stream it goes to, for whoever reads rows: from the WAL or from the table.
 */
export interface Outbox {
  readonly mapping: OutboxMapping;
  /** The columns that are read, by slot: each once, whatever it is used for. */
  readonly columns: readonly string[];
  readonly slots: OutboxSlots;
  /** Where a bytea is delivered as its bytes. Elsewhere (id, key, stream) it stays the text that Postgres makes of it. */
  readonly binarySlots: readonly number[];
  /** What its entries may look like. A stream says by number which of them is its own. */
  readonly shapes: readonly EntryShape[];
  /** Of every stream that it may route to. */
  readonly templates: readonly StreamTemplate[];
  /** The slots that decide about the stream. */
  readonly routingSlots: readonly number[];
  createRouter(options?: RouterOptions): EventRouter;
}

/** Which slot is what; −1: nothing is. */
export interface OutboxSlots {
  readonly id: readonly number[];
  readonly type: number;
  readonly aggregateType: number;
  readonly aggregateId: number;
  readonly payload: number;
  readonly headers: readonly { readonly field: string; readonly slot: number }[];
}

export interface RouterOptions {
  /** The number of a stream's lane; without it, all are of one. */
  readonly laneOf?: ((stream: string) => number) | undefined;
  /** The number by which the relay knows one of the outbox's shapes; without it, its own. */
  readonly shapeOf?: ((shape: number) => number) | undefined;
}

/** Finds the stream of an event from the bytes of its columns. Null: it is filtered out. Throws for one that has none. */
export interface EventRouter {
  route(bytes: Buffer, starts: Int32Array, lengths: Int32Array): Stream | null;
}

/** `metaKey`: the lane's own key, which no stream may have. Throws CONFIG_INVALID for a template that can't be a name. */
export function compileOutbox(mapping: OutboxMapping, metaKey: string): Outbox {
  const columns: string[] = [];
  const slotOf = (column: string): number => {
    const known = columns.indexOf(column);
    return known === -1 ? columns.push(column) - 1 : known;
  };
  const slotOrNone = (column: string | null) => (column === null ? -1 : slotOf(column));
  const slots: OutboxSlots = {
    id: mapping.columnId.map(slotOf),
    type: slotOrNone(mapping.columnType),
    aggregateType: slotOrNone(mapping.columnAggregateType),
    aggregateId: slotOrNone(mapping.columnAggregateId),
    payload: slotOrNone(mapping.columnPayload),
    headers: Object.entries(mapping.fields).map(([field, column]) => ({ field, slot: slotOf(column) })),
  };
  const template = parseStreamTemplate(mapping.stream);
  const templateSlots = template.placeholders.map(
    (placeholder) => roleSlot(slots, placeholder) ?? slotOf(placeholder),
  );
  const fault = template.placeholders.length === 0 ? findNameFault(template.text, metaKey) : null;
  if (fault !== null) {
    throw new WalrelayError(
      'CONFIG_INVALID',
      `the stream of ${mapping.name}: ${JSON.stringify(template.text)} ${fault}`,
    );
  }
  const asText = new Set([...slots.id, slots.type, slots.aggregateType, slots.aggregateId, ...templateSlots]);
  const binarySlots = [slots.payload, ...slots.headers.map(({ slot }) => slot)];
  return {
    mapping,
    columns,
    slots,
    binarySlots: [...new Set(binarySlots)].filter((slot) => slot !== -1 && !asText.has(slot)),
    shapes: [nativeShape(slots, constantFields(mapping.staticFields))],
    templates: [template],
    routingSlots: [...new Set(templateSlots)],
    createRouter: ({ laneOf, shapeOf = (shape: number) => shape }: RouterOptions = {}) =>
      new StreamRouter(template, templateSlots, { forbiddenName: metaKey, laneOf, shape: shapeOf(0) }),
  };
}

/** Which field of an outbox's entries says what: the same in all of its shapes. */
export function rolesOf({ shapes }: Outbox): EntryRoles {
  return (shapes[0] as EntryShape).roles;
}

function constantFields(staticFields: Readonly<Record<string, string>>): EntryField[] {
  return Object.entries(staticFields).map(([name, text]) => ({ name, value: { from: 'constant', text } }));
}

/** The names that a template may use whatever the columns are called. An id of several columns has no such name. */
function roleSlot(slots: OutboxSlots, placeholder: string): number | undefined {
  const roles: Readonly<Record<string, number | undefined>> = {
    id: slots.id.length === 1 ? slots.id[0] : -1,
    type: slots.type,
    aggregatetype: slots.aggregateType,
    aggregateid: slots.aggregateId,
  };
  const slot = Object.hasOwn(roles, placeholder) ? roles[placeholder] : -1;
  return slot === -1 ? undefined : slot;
}
