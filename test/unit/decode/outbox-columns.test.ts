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
