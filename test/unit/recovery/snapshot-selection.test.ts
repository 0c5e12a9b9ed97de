import { expect, test } from 'vitest';
import { chooseSelection, rememberSelection } from '../../../src/recovery/snapshot-selection.ts';
import { thrownCode } from '../thrown-code.ts';

const NOTHING = { outbox: undefined, orderColumn: undefined, since: undefined, where: undefined };
const ONE = [{ outbox: 'orders', orderColumn: 'created_at' }];
const TWO = [...ONE, { outbox: 'billing', orderColumn: 'made_at' }];

test('without a snapshot before, what is given counts, and the setting where nothing is', () => {
  expect(chooseSelection(NOTHING, null, ONE)).toEqual({ tables: ONE, since: null, where: null });
  expect(chooseSelection({ ...NOTHING, orderColumn: 'n', since: '10', where: 'true' }, null, ONE)).toEqual({
    tables: [{ outbox: 'orders', orderColumn: 'n' }],
    since: '10',
    where: 'true',
  });
});

test('of several tables all are taken in the order of the list, or the one that is named', () => {
  expect(chooseSelection(NOTHING, null, TWO).tables).toEqual(TWO);
  expect(chooseSelection({ ...NOTHING, outbox: 'billing' }, null, TWO).tables).toEqual([TWO[1]]);
  expect(chooseSelection({ ...NOTHING, orderColumn: 'n' }, null, TWO).tables).toEqual([
    { outbox: 'orders', orderColumn: 'n' },
    { outbox: 'billing', orderColumn: 'n' },
  ]);
});

test('a filter is about one table: of several it has to be said which', () => {
  for (const filter of [{ where: 'true' }, { since: '1' }]) {
    expect(thrownCode(() => chooseSelection({ ...NOTHING, ...filter }, null, TWO))).toBe('CONFIG_INVALID');
    expect(chooseSelection({ ...NOTHING, ...filter, outbox: 'orders' }, null, TWO)).toMatchObject(filter);
  }
});

test('one that goes on is of the same rows, whether they are named again or not; others are refused', () => {
  const before = { tables: [{ outbox: 'orders', orderColumn: 'n' }], since: null, where: "a = '\"'" };
  const remembered = rememberSelection(before);
  expect(chooseSelection(NOTHING, remembered, TWO)).toEqual(before);
  expect(chooseSelection({ ...NOTHING, where: before.where }, remembered, TWO)).toEqual(before);
  expect(chooseSelection({ ...NOTHING, outbox: 'orders', orderColumn: 'n' }, remembered, TWO)).toEqual(
    before,
  );
  for (const given of [
    { where: 'true' },
    { since: '1' },
    { orderColumn: 'created_at' },
    { outbox: 'billing' },
  ]) {
    expect(thrownCode(() => chooseSelection({ ...NOTHING, ...given }, remembered, TWO))).toBe(
      'CONFIG_INVALID',
    );
  }
});

test('one of several tables goes on with all of them, and not where the settings have lost one', () => {
  const remembered = rememberSelection({ tables: TWO, since: null, where: null });
  expect(chooseSelection(NOTHING, remembered, TWO).tables).toEqual(TWO);
  expect(thrownCode(() => chooseSelection({ ...NOTHING, outbox: 'orders' }, remembered, TWO))).toBe(
    'CONFIG_INVALID',
  );
  expect(thrownCode(() => chooseSelection(NOTHING, remembered, ONE))).toBe('CONFIG_INVALID');
});
