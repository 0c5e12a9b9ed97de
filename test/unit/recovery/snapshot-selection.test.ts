import { expect, test } from 'vitest';
import { chooseSelection, rememberSelection } from '../../../src/recovery/snapshot-selection.ts';
import { thrownCode } from '../thrown-code.ts';

const NOTHING = { orderColumn: undefined, since: undefined, where: undefined };

test('without a snapshot before, what is given counts, and the setting where nothing is', () => {
  expect(chooseSelection(NOTHING, null, 'created_at')).toEqual({
    orderColumn: 'created_at',
    since: null,
    where: null,
  });
  expect(chooseSelection({ orderColumn: 'n', since: '10', where: 'true' }, null, 'created_at')).toEqual({
    orderColumn: 'n',
    since: '10',
    where: 'true',
  });
});

test('one that goes on is of the same rows, whether they are named again or not; others are refused', () => {
  const before = { orderColumn: 'n', since: null, where: "a = '\"'" };
  const remembered = rememberSelection(before);
  expect(chooseSelection(NOTHING, remembered, 'created_at')).toEqual(before);
  expect(chooseSelection({ ...NOTHING, where: before.where }, remembered, 'created_at')).toEqual(before);
  for (const given of [{ where: 'true' }, { since: '1' }, { orderColumn: 'created_at' }]) {
    expect(thrownCode(() => chooseSelection({ ...NOTHING, ...given }, remembered, 'n'))).toBe(
      'CONFIG_INVALID',
    );
  }
});
