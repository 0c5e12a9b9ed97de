import { expect, test } from 'vitest';
import { compareStreams, type RelayedEvent } from '../../support/compare-streams.ts';

const FLAWLESS = {
  missing: [],
  duplicated: [],
  foreign: [],
  misordered: [],
  misorderedAggregates: [],
  altered: [],
};

function event(id: string, change: Partial<RelayedEvent> = {}): RelayedEvent {
  return {
    stream: 'order',
    id,
    type: 't',
    aggregateType: 'order',
    aggregateId: '1',
    payload: '{}',
    lsn: `0/${id}`,
    seq: '0',
    committedAt: '2026-11-21T00:00:00.000000Z',
    ...change,
  };
}

/** Flaws only, of what stands in the one stream. */
function flaws(expected: readonly RelayedEvent[], actual: readonly RelayedEvent[]) {
  const { events: _, ...found } = compareStreams(expected, new Map([['order', actual]]));
  return found;
}

const COMMITTED = [event('1'), event('2'), event('3')];

test('streams that hold what was committed, once and in order, have no flaw', () => {
  expect(flaws(COMMITTED, COMMITTED)).toEqual(FLAWLESS);
});

test('an event that stands nowhere is missing', () => {
  expect(flaws(COMMITTED, [event('1'), event('3')])).toEqual({ ...FLAWLESS, missing: ['2'] });
});

test('an entry that comes twice is duplicated, wherever it comes again', () => {
  const found = flaws(COMMITTED, [...COMMITTED, event('2')]);
  expect(found.duplicated).toEqual(['2']);
  expect(
    compareStreams(
      COMMITTED,
      new Map([
        ['order', COMMITTED],
        ['other', [event('2')]],
      ]),
    ).duplicated,
  ).toEqual(['2']);
});

test('an entry that nobody has committed is foreign', () => {
  expect(flaws(COMMITTED, [...COMMITTED, event('4')])).toEqual({ ...FLAWLESS, foreign: ['4'] });
});

test('entries in another order than their commits are misordered, and so is their aggregate', () => {
  const found = flaws(COMMITTED, [event('1'), event('3'), event('2')]);
  expect(found).toEqual({ ...FLAWLESS, misordered: ['order 2'], misorderedAggregates: ['order order 1'] });
});

test('the order of an aggregate is that of the commits, whatever the entries say of themselves', () => {
  const [first, second] = [event('1'), event('2')];
  const lying = [
    { ...second, lsn: '0/1' },
    { ...first, lsn: '0/2' },
  ];
  expect(flaws([first, second], lying).altered).toEqual(['2', '1']);
});

test('an entry with one byte changed is altered', () => {
  const found = flaws(COMMITTED, [event('1'), event('2', { payload: '{ }' }), event('3')]);
  expect(found).toEqual({ ...FLAWLESS, altered: ['2'] });
});

test('two rows with one id are two events: both must stand, and a third entry is one too many', () => {
  const twice = [event('1'), event('1', { lsn: '0/2' })];
  expect(flaws(twice, twice)).toEqual(FLAWLESS);
  expect(flaws(twice, [event('1')]).missing).toEqual(['1']);
  expect(flaws(twice, [...twice, event('1', { lsn: '0/2' })]).duplicated).toEqual(['1']);
});
