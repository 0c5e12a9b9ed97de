import type { OutboxSettings, Settings } from '../config/settings.ts';
import type { EntryShape } from '../core/entry-shape.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { compilePlan } from '../decode/outbox-columns.ts';
import type { OutboxTarget } from '../decode/pgoutput-decoder.ts';
import { compileOutbox, type EventRouter, type Outbox } from '../route/outbox.ts';
import { compileAppendScript } from '../sink/append-script.ts';
import type { Appending } from '../sink/lane.ts';
import { packShapes } from '../sink/packed-shapes.ts';
import type { Expectations } from '../source/preflight.ts';

/** What the settings say about the tables: what is read of them, what entries are made of it, where they go. */
export interface RelayShape {
  readonly outboxes: readonly RelayOutbox[];
  /** How entries are appended: the shapes of all outboxes, each once. */
  readonly appending: Appending;
  readonly expected: Expectations;
  /** One for each outbox. `laneOf` gives the number of a stream's lane. */
  createRouters(laneOf: (stream: string) => number): EventRouter[];
  /**
   * What is read of which relation. By OID, so that a rename loses nothing; by name, so that WAL from before the table was
   * re-created is read too. `tableOids`: of the outboxes' tables, in their order.
   */
  createTarget(tableOids: readonly (number | null)[]): OutboxTarget;
}

export interface RelayOutbox {
  readonly settings: OutboxSettings;
  readonly outbox: Outbox;
}

/** `renamedOid`: of the table that this process has been reading, when it goes by another name by now. */
export function relayShape(settings: Settings, renamedOid?: number): RelayShape {
  const [first, ...others] = settings.outboxes;
  if (first === undefined || others.length > 0)
    throw new WalrelayError('CONFIG_INVALID', 'a relay has one outbox');
  const outboxes = settings.outboxes.map((each) => ({
    settings: each,
    outbox: compileOutbox(each, settings.metaKey),
  }));
  const { shapes, numbers } = collectShapes(outboxes.map(({ outbox }) => outbox));
  const packed = packShapes(shapes, { hasPosition: true });
  return {
    outboxes,
    appending: { shapes: packed, script: compileAppendScript(packed) },
    expected: {
      table: first.table,
      publication: settings.publication,
      slot: settings.slot,
      columns: outboxes[0]?.outbox.columns ?? [],
      ...(renamedOid === undefined ? {} : { tableOid: renamedOid }),
    },
    createRouters: (laneOf) =>
      outboxes.map(({ outbox }, number) =>
        outbox.createRouter({ laneOf, shapeOf: (shape) => numbers[number]?.[shape] ?? 0 }),
      ),
    createTarget: (tableOids) => createTarget(outboxes, tableOids),
  };
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

function createTarget(outboxes: readonly RelayOutbox[], tableOids: readonly (number | null)[]): OutboxTarget {
  return {
    slotCount: Math.max(...outboxes.map(({ outbox }) => outbox.columns.length)),
    planOf: (relation) => {
      const byOid = tableOids.indexOf(relation.oid);
      const number =
        byOid !== -1
          ? byOid
          : outboxes.findIndex(
              ({ settings: { table } }) => relation.schema === table.schema && relation.table === table.name,
            );
      const found = outboxes[number];
      if (found === undefined) return null;
      const { mapping, columns, binarySlots } = found.outbox;
      return compilePlan({ outbox: number, name: mapping.name, names: columns, binarySlots }, relation);
    },
  };
}
