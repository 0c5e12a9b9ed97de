import type { EntryRoles, EntryShape } from '../core/entry-shape.ts';
import { nameSetting } from '../core/name-setting.ts';
import type { LengthLimit, OutboxMapping, RouteMapping } from '../core/outbox-mapping.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { entryShape, findFormatFault, requiredValues } from './entry-format.ts';
import { type ChosenRoute, type Condition, RouteChooser } from './route-chooser.ts';
import { NO_ROLES } from './raw-shape.ts';
import { type RequiredValue, RequiringRouter } from './requiring-router.ts';
import { findNameFault, PARTITION, type ReservedNames, type Stream, StreamRouter } from './stream-router.ts';
import type { NamingRoute } from './stream-lengths.ts';
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
  /** By which a stream's name tells how long it may become: see StreamLengths. */
  readonly namingRoutes: readonly NamingRoute[];
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
  /** Throws for a name from data that may not become a stream. */
  readonly admit?: ((stream: string) => void) | undefined;
  /** The number by which the relay knows one of the outbox's shapes; without it, its own. */
  readonly shapeOf?: ((shape: number) => number) | undefined;
}

/** Finds the stream of an event from the bytes of its columns. Null: it is filtered out. Throws for one that has none. */
export interface EventRouter {
  route(bytes: Buffer, starts: Int32Array, lengths: Int32Array): Stream | null;
}

/** `reserved`: keys that no stream may have. Throws CONFIG_INVALID for a template that can't be a name. */
export function compileOutbox(mapping: OutboxMapping, reserved: ReservedNames): Outbox {
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
  const placeOf = (name: string) => roleSlot(slots, name) ?? slotOf(name);
  const routes = [
    ...mapping.routes,
    { when: {}, stream: null, format: null, trimMaxLength: null, isDropped: false, staticFields: {} },
  ].map((route, number) => ({
    conditions: Object.entries(route.when).map(
      ([name, values]): Condition => ({
        slot: placeOf(name),
        values: values.filter((value) => value !== null).map((value) => Buffer.from(value)),
        fitsNull: values.includes(null),
      }),
    ),
    target: route.isDropped
      ? null
      : compileTarget(mapping, { ...route, number }, { placeOf, slots, reserved }),
  }));
  const targets = routes.flatMap(({ target }) => target ?? []);
  const routingSlots = new Set([
    ...routes.flatMap(({ conditions }) => conditions.map(({ slot }) => slot)),
    ...targets.flatMap(({ slots: used, partition, required }) => [
      ...used,
      partition?.slot ?? PARTITION,
      ...required.map(({ slot }) => slot),
    ]),
  ]);
  routingSlots.delete(PARTITION);
  const asText = new Set([...slots.id, slots.type, slots.aggregateType, slots.aggregateId, ...routingSlots]);
  const isNative = [mapping.format, ...mapping.routes.map(({ format }) => format ?? 'native')].every(
    (format) => format === 'native',
  );
  // Attributes of a CloudEvent and headers of a Debezium record are texts.
  const binarySlots = [slots.payload, ...(isNative ? slots.headers.map(({ slot }) => slot) : [])];
  return {
    mapping,
    columns,
    slots,
    binarySlots: [...new Set(binarySlots)].filter((slot) => slot !== -1 && !asText.has(slot)),
    shapes: targets.map(({ shape }) => shape),
    templates: targets.map(({ template }) => template),
    routingSlots: [...routingSlots],
    namingRoutes: routes,
    createRouter: ({ laneOf, admit, shapeOf = (shape: number) => shape }: RouterOptions = {}) => {
      const chosen = routes.map(({ conditions, target }): ChosenRoute => {
        if (target === null) return { conditions, router: null };
        const { template, slots: used, isNamedByData, partition, required, setting } = target;
        const shape = shapeOf(targets.indexOf(target));
        const router = new StreamRouter(template, used, {
          reserved,
          laneOf,
          admit: isNamedByData ? admit : undefined,
          shape,
          setting,
          partition,
        });
        return {
          conditions,
          router: required.length === 0 ? router : new RequiringRouter(router, required, columns),
        };
      });
      const [only, ...others] = chosen;
      return only?.router != null && others.length === 0 ? only.router : new RouteChooser(chosen);
    },
  };
}

interface Target {
  /** What the template's setting is called. */
  readonly setting: string;
  readonly trimMaxLength: LengthLimit;
  readonly template: StreamTemplate;
  /** For each placeholder of the template. */
  readonly slots: readonly number[];
  readonly isNamedByData: boolean;
  readonly partition: { readonly slot: number; readonly count: number } | undefined;
  readonly shape: EntryShape;
  /** Columns without whose values there is no entry. */
  readonly required: readonly RequiredValue[];
}

function compileTarget(
  mapping: OutboxMapping,
  route: RouteMapping & { readonly number: number },
  {
    placeOf,
    slots,
    reserved,
  }: {
    readonly placeOf: (name: string) => number;
    readonly slots: OutboxSlots;
    readonly reserved: ReservedNames;
  },
): Target {
  const template = parseStreamTemplate(route.stream ?? mapping.stream);
  const used = template.placeholders.map((name) => (name === 'partition' ? PARTITION : placeOf(name)));
  const fault = template.placeholders.length === 0 ? findNameFault(template.text, reserved) : null;
  const refuse = (why: string) =>
    new WalrelayError(
      'CONFIG_INVALID',
      `the stream of ${mapping.name}: ${JSON.stringify(template.text)} ${why}`,
    );
  if (fault !== null) throw refuse(fault);
  const format = route.format ?? mapping.format;
  const parts = { mapping, slots, staticFields: { ...mapping.staticFields, ...route.staticFields } };
  const formatFault = findFormatFault(format, parts);
  if (formatFault !== null)
    throw new WalrelayError('CONFIG_INVALID', `the format ${format} of ${mapping.name}: ${formatFault}`);
  const isPartitioned = used.includes(PARTITION);
  if (isPartitioned && mapping.partitions === null)
    throw refuse('has ${partition}, and nothing says how many there are (partitions)');
  if (isPartitioned && slots.aggregateId === -1)
    throw refuse('has ${partition}, and there is no columnAggregateId to make it of');
  return {
    setting: nameSetting(mapping, route.stream === null ? 'stream' : `routes[${route.number}].stream`),
    trimMaxLength: route.trimMaxLength ?? mapping.trimMaxLength,
    template,
    slots: used,
    isNamedByData: used.some((slot) => slot !== PARTITION),
    partition:
      isPartitioned && mapping.partitions !== null
        ? { slot: slots.aggregateId, count: mapping.partitions }
        : undefined,
    shape: entryShape(format, parts),
    required: requiredValues(format, slots),
  };
}

/**
 * Which field of an outbox's entries says what: the same in all of its shapes. Where formats differ from route to route
 * there is no such thing, and nobody finds its events by their ids.
 */
export function rolesOf({ shapes }: Outbox): EntryRoles {
  const [{ roles }, ...others] = shapes as readonly [EntryShape, ...EntryShape[]];
  const text = JSON.stringify(roles);
  return others.every((other) => JSON.stringify(other.roles) === text) ? roles : NO_ROLES;
}

/** For whoever finds events in the streams by their ids. Throws CONFIG_INVALID where entries do not tell them. */
export function requireIds(outbox: Outbox): void {
  if (rolesOf(outbox).id !== null) return;
  const { mapping } = outbox;
  const formats = new Set(
    mapping.routes.flatMap(({ format, isDropped }) => (isDropped ? [] : (format ?? mapping.format))),
  ).add(mapping.format);
  throw new WalrelayError(
    'CONFIG_INVALID',
    formats.size > 1
      ? `the entries of ${mapping.name} have several formats (${[...formats].join(', ')}): events can't be found in them by their ids`
      : `the entries of ${mapping.name} are ${mapping.format}, and so do not tell which event they are`,
    {
      hint: 'audit, explain, recover and init --snapshot compare the streams with the table by the ids of events; see docs/formats.md.',
    },
  );
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
