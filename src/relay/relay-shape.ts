import type { MessageOutboxSettings, TableOutbox } from '../config/outbox-source.ts';
import type { OutboxSettings, Settings } from '../config/settings.ts';
import type { EntryShape } from '../core/entry-shape.ts';
import { compileOutbox, type EventRouter, type Outbox, type RouterOptions } from '../route/outbox.ts';
import { StreamLengths } from '../route/stream-lengths.ts';
import { compileAppendScript } from '../sink/append-script.ts';
import type { Appending } from '../sink/lane.ts';
import { packShapes } from '../sink/packed-shapes.ts';
import { formatIdentity } from './lane-notes.ts';
import { routingIdentity } from './routing-guard.ts';
import type { Expectations } from '../source/preflight.ts';

/** What the settings say about the tables: what is read of them, what entries are made of it, where they go. */
export interface RelayShape {
  readonly outboxes: readonly RelayOutbox[];
  /** Those that are tables, in the order in which the catalog is asked for them. */
  readonly tables: readonly RelayTable[];
  /** Those that are messages. */
  readonly messages: readonly RelayMessages[];
  /** How entries are appended: the shapes of all outboxes, each once. */
  readonly appending: Appending;
  /** The number of the shape of dead letters; null where an event that can't pass halts the relay. */
  readonly letterShape: number | null;
  readonly expected: Expectations;
  /** How long streams may become where they are trimmed. */
  readonly streamLengths: StreamLengths;
  /** See routingIdentity. */
  readonly routing: string;
  /** See formatIdentity. */
  readonly formats: string;
  /** One for each outbox. `laneOf` gives the number of a stream's lane, `admit` throws for a stream that may not be. */
  createRouters(options: Pick<RouterOptions, 'laneOf' | 'admit'>): EventRouter[];
}

export interface RelayOutbox {
  readonly settings: OutboxSettings;
  readonly outbox: Outbox;
}

export interface RelayTable {
  /** Of its outbox, among all. */
  readonly number: number;
  readonly settings: TableOutbox;
  readonly outbox: Outbox;
}

export interface RelayMessages {
  readonly number: number;
  readonly settings: MessageOutboxSettings;
  readonly outbox: Outbox;
}

/** Compiles what the settings say. */
export function relayShape(settings: Settings): RelayShape {
  const outboxes = settings.outboxes.map((each) => ({
    settings: each,
    outbox: compileOutbox(each, settings),
  }));
  const tables = outboxes.flatMap(({ settings: each, outbox }, number): RelayTable[] =>
    each.table === null ? [] : [{ number, settings: each, outbox }],
  );
  const messages = outboxes.flatMap(({ settings: each, outbox }, number): RelayMessages[] =>
    each.table === null ? [{ number, settings: each, outbox }] : [],
  );
  const { shapes, numbers } = collectShapes(outboxes.map(({ outbox }) => outbox));
  const hasLetters = settings.poison === 'dead-letter';
  const packed = packShapes(shapes, { hasPosition: true, hasLoose: hasLetters });
  return {
    outboxes,
    tables,
    messages,
    appending: { shapes: packed, script: compileAppendScript(packed) },
    letterShape: hasLetters ? shapes.length : null,
    expected: {
      publication: settings.publication,
      slot: settings.slot,
      tables: tables.map(({ settings: { table, place }, outbox: { columns } }) => ({
        table,
        columns,
        place,
      })),
      messagePrefixes: messages.map(({ settings: { messagePrefix } }) => messagePrefix),
    },
    streamLengths: new StreamLengths(
      outboxes.map(({ outbox }) => outbox.namingRoutes),
      settings.trimMaxLength,
    ),
    routing: routingIdentity(outboxes, { isCluster: settings.redisMode === 'cluster' }),
    formats: formatIdentity(outboxes),
    createRouters: (options) =>
      outboxes.map(({ outbox }, number) =>
        outbox.createRouter({ ...options, shapeOf: (shape) => numbers[number]?.[shape] ?? 0 }),
      ),
  };
}

/** `renamedOids`: of tables that this process has been reading and that go by other names by now, by the outbox's name. */
export function withRenamed(shape: RelayShape, renamedOids: ReadonlyMap<string, number>): RelayShape {
  if (renamedOids.size === 0) return shape;
  const tables = shape.expected.tables.map((expected, index) => {
    const tableOid = renamedOids.get(shape.tables[index]?.settings.name ?? '');
    return tableOid === undefined ? expected : { ...expected, tableOid };
  });
  return { ...shape, expected: { ...shape.expected, tables } };
}

/** Shapes that are alike are one. `numbers`: for each outbox, what each of its shapes is called here. */
function collectShapes(outboxes: readonly Outbox[]): {
  readonly shapes: readonly EntryShape[];
  readonly numbers: readonly (readonly number[])[];
} {
  const shapes: EntryShape[] = [];
  const known = new Map<string, number>();
  const numbers = outboxes.map((outbox) =>
    outbox.shapes.map((shape) => {
      const key = JSON.stringify(shape);
      const number = known.get(key) ?? shapes.push(shape) - 1;
      known.set(key, number);
      return number;
    }),
  );
  return { shapes, numbers };
}
