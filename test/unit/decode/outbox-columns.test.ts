import { expect, test } from 'vitest';
import { compilePlan } from '../../../src/decode/outbox-columns.ts';
import { thrownCode } from '../thrown-code.ts';

function compile(
  names: readonly string[],
  relation: ReturnType<typeof relationOf>,
  binarySlots: number[] = [],
) {
  return compilePlan({ outbox: 3, name: 'orders', names, binarySlots }, relation);
}

function relationOf(...names: string[]) {
  return { oid: 1, schema: 'public', table: 'outbox', columns: names.map((name) => ({ name, typeOid: 25 })) };
}

test('each column of the tuple knows its slot, others have none', () => {
  const plan = compile(['id', 'payload', 'tenant'], relationOf('x', 'tenant', 'payload', 'y', 'id'));
  expect(plan.outbox).toBe(3);
  expect([...plan.slotOfColumn]).toEqual([-1, 2, 1, -1, 0]);
});

test('names are compared exactly, case included', () => {
  expect(thrownCode(() => compile(['ID'], relationOf('id')))).toBe('COLUMN_MISSING');
});

test('every missing column is named at once', () => {
  expect(() => compile(['a', 'b', 'c'], relationOf('b'))).toThrow('sends no column a, c; it sends: b');
});

test('one column in two slots is refused: the first slot would keep the value of another row', () => {
  expect(thrownCode(() => compile(['id', 'id'], relationOf('id')))).toBe('BUG');
});

test('a bytea is decoded where its bytes are wanted, and nowhere else', () => {
  const relation = relationOf('id', 'payload', 'blob');
  const columns = relation.columns.map((column) => ({
    ...column,
    typeOid: column.name === 'payload' ? 25 : 17,
  }));
  expect(compile(['id', 'payload', 'blob'], { ...relation, columns }, [1, 2]).byteaSlots).toEqual([2]);
});

test('what a column is, its type in this relation tells: a bytea only where its bytes are wanted', () => {
  const types: Readonly<Record<string, number>> = { id: 17, a: 114, b: 3802, c: 25, d: 17 };
  const relation = relationOf('d', 'c', 'b', 'a', 'id');
  const columns = relation.columns.map((column) => ({ ...column, typeOid: types[column.name] ?? 0 }));
  const { kinds } = compile(['id', 'a', 'b', 'c', 'd'], { ...relation, columns }, [4]);
  expect(kinds).toEqual(['text', 'json', 'json', 'text', 'bytes']);
});
