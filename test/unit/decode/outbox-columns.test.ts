import { expect, test } from 'vitest';
import { compileColumns } from '../../../src/decode/outbox-columns.ts';
import { thrownCode } from '../thrown-code.ts';

function relationOf(...names: string[]) {
  return { oid: 1, schema: 'public', table: 'outbox', columns: names.map((name) => ({ name, typeOid: 25 })) };
}

test('each column of the tuple knows its slot, others have none', () => {
  const map = compileColumns(
    { names: ['id', 'payload', 'tenant'] },
    relationOf('x', 'tenant', 'payload', 'y', 'id'),
  );
  expect([...map]).toEqual([-1, 2, 1, -1, 0]);
});

test('names are compared exactly, case included', () => {
  expect(thrownCode(() => compileColumns({ names: ['ID'] }, relationOf('id')))).toBe('COLUMN_MISSING');
});

test('every missing column is named at once', () => {
  expect(() => compileColumns({ names: ['a', 'b', 'c'] }, relationOf('b'))).toThrow(
    'sends no column a, c; it sends: b',
  );
});

test('one column in two slots is refused: the first slot would keep the value of another row', () => {
  expect(thrownCode(() => compileColumns({ names: ['id', 'id'] }, relationOf('id')))).toBe('BUG');
});
