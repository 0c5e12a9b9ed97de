import { compileOutbox, type Outbox } from '../../src/route/outbox.ts';
import { compileAppendScript } from '../../src/sink/append-script.ts';
import type { Appending } from '../../src/sink/lane.ts';
import { packShapes } from '../../src/sink/packed-shapes.ts';

/** The outbox of the default settings, and how its entries are appended. */
export const NATIVE_OUTBOX: Outbox = compileOutbox(
  {
    name: 'public.outbox',
    place: null,
    columnId: ['id'],
    columnType: 'type',
    columnAggregateType: 'aggregatetype',
    columnAggregateId: 'aggregateid',
    columnPayload: 'payload',
    fields: {},
    staticFields: {},
    partitions: null,
    trimMaxLength: 'off',
    format: 'native',
    cloudEventsSource: 'auto',
    debeziumConverter: 'string',
    rawField: 'payload',
    routes: [],
    stream: 'outbox.${aggregatetype}',
  },
  { metaKey: 'walrelay:walrelay', deadLetterStream: 'walrelay:walrelay:dead-letters' },
);
export const NATIVE_SHAPES = packShapes(NATIVE_OUTBOX.shapes, { hasPosition: true });
export const NATIVE_PUBLISHED = packShapes(NATIVE_OUTBOX.shapes, { hasPosition: false });
export const NATIVE_APPENDING: Appending = {
  shapes: NATIVE_SHAPES,
  script: compileAppendScript(NATIVE_SHAPES),
};

/** The same where events that can't pass go to the dead letters. */
const LETTER_SHAPES = packShapes(NATIVE_OUTBOX.shapes, { hasPosition: true, hasLoose: true });
export const LETTER_APPENDING: Appending = {
  shapes: LETTER_SHAPES,
  script: compileAppendScript(LETTER_SHAPES),
};
