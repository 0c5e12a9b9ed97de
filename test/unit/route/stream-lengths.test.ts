import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LengthLimit, OutboxMapping, RouteMapping } from '../../../src/core/outbox-mapping.ts';
import { compileOutbox, type Outbox } from '../../../src/route/outbox.ts';
import { RowRouter } from '../../../src/route/row-router.ts';
import { StreamLengths } from '../../../src/route/stream-lengths.ts';
import { NATIVE_OUTBOX } from '../../support/native-outbox.ts';

const RESERVED = { metaKey: 'meta', deadLetterStream: 'dead' };

function outboxOf(mapping: Partial<OutboxMapping>): Outbox {
  return compileOutbox({ ...NATIVE_OUTBOX.mapping, ...mapping }, RESERVED);
}

function route(when: RouteMapping['when'], more: Partial<RouteMapping> = {}): RouteMapping {
  const rest = { stream: null, format: null, trimMaxLength: null, isDropped: false, staticFields: {} };
  return { ...rest, when, ...more };
}

function lengthsOf(otherwise: LengthLimit, ...mappings: Partial<OutboxMapping>[]): StreamLengths {
  return new StreamLengths(
    mappings.map((mapping) => outboxOf(mapping).namingRoutes),
    otherwise,
  );
}

describe('the length of a stream', () => {
  test('is that of its outbox, of all for a stream that nobody names', () => {
    const lengths = lengthsOf(
      7,
      { stream: 'a.${type}', trimMaxLength: 100 },
      { stream: 'b', trimMaxLength: 'off' },
    );
    expect(lengths.of('a.x')).toBe(100);
    expect(lengths.of('b')).toBe('off');
    expect(lengths.of('a.')).toBe(7);
    expect(lengths.of('foreign')).toBe(7);
  });

  test('is that of the route whose condition the name itself tells', () => {
    const lengths = lengthsOf('off', {
      stream: 'outbox.${aggregatetype}',
      trimMaxLength: 1000,
      routes: [
        route({ aggregatetype: ['beat', 'debug'] }, { trimMaxLength: 10 }),
        route({ aggregatetype: ['audit'] }, { stream: 'audit', trimMaxLength: 'off' }),
        route({ aggregatetype: ['noise'] }, { isDropped: true }),
      ],
    });
    expect(lengths.of('outbox.beat')).toBe(10);
    expect(lengths.of('outbox.debug')).toBe(10);
    expect(lengths.of('outbox.order')).toBe(1000);
    expect(lengths.of('audit')).toBe('off');
    // Neither of its route, which goes elsewhere, nor of the outbox, which never sees it.
    expect(lengths.of('outbox.audit')).toBe('off');
    expect(lengths.of('outbox.noise')).toBe('off');
    expect(lengths.overruled).toEqual([]);
  });

  test('is the largest where the name does not tell which route it was', () => {
    const lengths = lengthsOf('off', {
      stream: 'outbox.${aggregatetype}',
      trimMaxLength: 1000,
      fields: { tenant: 'tenant' },
      routes: [route({ tenant: ['acme'] }, { stream: 'outbox.acme', trimMaxLength: 10 })],
    });
    expect(lengths.of('outbox.acme')).toBe(1000);
    expect(lengths.overruled).toEqual([{ stream: 'outbox.acme', trimMaxLength: 10, applied: 1000 }]);
  });

  test('none at all is larger than any', () => {
    const mapping = { stream: 'x', trimMaxLength: 5 };
    expect(lengthsOf(1, mapping, { ...mapping, trimMaxLength: 'off' }).of('x')).toBe('off');
    expect(lengthsOf(1, mapping, { ...mapping, trimMaxLength: 9 }).of('x')).toBe(9);
  });

  test('of partitions is found by their numbers, as many as there are', () => {
    const lengths = lengthsOf(1, { stream: 'orders.{${partition}}', partitions: 16, trimMaxLength: 50 });
    expect(lengths.of('orders.{0}')).toBe(50);
    expect(lengths.of('orders.{15}')).toBe(50);
    for (const name of ['orders.{16}', 'orders.{00}', 'orders.{x}', 'orders.{}'])
      expect(lengths.of(name)).toBe(1);
  });

  test('is found where the template holds what a pattern would read as its own', () => {
    const lengths = lengthsOf(1, { stream: 'a.b+{${type}}-/', trimMaxLength: 50 });
    expect(lengths.of('a.b+{x}-/')).toBe(50);
    expect(lengths.of('aXbb{x}-/')).toBe(1);
  });

  test('of a name with many holes is found in no time, however it looks', () => {
    const stream = '${type}a${aggregateid}a${aggregatetype}a${id}a${type}a${type}b';
    const lengths = lengthsOf(1, { stream, trimMaxLength: 50 });
    expect(lengths.of(`${'a'.repeat(255)}c`)).toBe(1);
    expect(lengths.of(`${'a'.repeat(255)}b`)).toBe(50);
  });
});

test('is never below that of the route which an event took', () => {
  const word = fc.constantFrom('a', 'b', 'ab', '1', 'a.1', '12', 'a-b');
  const stream = fc.constantFrom(
    'a',
    'a.1',
    '${aggregatetype}',
    'a.${type}',
    '${type}.${partition}',
    '${aggregatetype}${partition}',
    '${type}-${aggregatetype}',
    '${type}${type}',
  );
  const length = fc.constantFrom<LengthLimit>(1, 2, 3, 'off');
  const when = fc.oneof(
    fc.record({ aggregatetype: fc.array(word, { minLength: 1, maxLength: 2 }) }),
    fc.record({ type: fc.array(word, { minLength: 1, maxLength: 2 }) }),
    fc.record({ type: fc.array(word, { minLength: 1 }), aggregatetype: fc.array(word, { minLength: 1 }) }),
  );
  const routes = fc.array(
    fc
      .record({ when, stream: fc.option(stream), trimMaxLength: length, isDropped: fc.boolean() })
      .map(({ when: conditions, ...more }) => route(conditions, more)),
    { maxLength: 3 },
  );
  fc.assert(
    fc.property(stream, length, routes, word, word, word, (top, trimMaxLength, list, kind, type, id) => {
      const mapping = { stream: top, trimMaxLength, partitions: 20, routes: list };
      const outbox = outboxOf(mapping);
      const row = ['1', type, kind, id, '{}'];
      const place = (slot: number) =>
        ['id', 'type', 'aggregatetype', 'aggregateid', 'payload'].indexOf(outbox.columns[slot] as string);
      const name = new RowRouter(outbox, place).route(row);
      if (name === null) return;
      const taken = list.find(({ when: conditions }) =>
        Object.entries(conditions).every(([column, values]) =>
          values.includes(column === 'type' ? type : kind),
        ),
      );
      const due = taken?.trimMaxLength ?? trimMaxLength;
      const kept = new StreamLengths([outbox.namingRoutes], 1).of(name);
      expect(kept === 'off' || (due !== 'off' && kept >= due)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
