import { expect, test } from 'vitest';
import { type EntryRecord, NO_STREAM, type RowRecord } from '../../../src/audit/audit-record.ts';
import { judgeGroup } from '../../../src/audit/judge-group.ts';

const KEY = Buffer.alloc(16, 1);
const SAME = Buffer.alloc(8, 2);
const OTHER = Buffer.alloc(8, 3);

function row(fields: Partial<RowRecord> = {}): RowRecord {
  return {
    kind: 'row',
    key: KEY,
    digest: SAME,
    stream: 0,
    timeUs: 5n,
    xid: 100,
    ordinal: 0,
    isDue: true,
    isLossy: false,
    id: 'e1',
    ...fields,
  };
}

function entry(fields: Partial<EntryRecord> = {}): EntryRecord {
  return {
    kind: 'entry',
    key: KEY,
    digest: SAME,
    stream: 0,
    position: { lsn: 7n, seq: 0 },
    origin: 'relayed',
    order: 'kept',
    isLossy: false,
    entryMs: 1,
    entrySeq: 0,
    ...fields,
  };
}

const recovered = entry({ origin: 'recovered', position: null });
const replayed = entry({ origin: 'replayed', position: null });
const dead = entry({ origin: 'dead', position: null, stream: NO_STREAM });
const redriven = entry({ origin: 'redriven', position: null });

const later = { lsn: 9n, seq: 0 };

test.each([
  ['a row with its entry is as it should be', [row(), entry()], {}],
  ['a due row without an entry is missing', [row()], { missing: 1 }],
  ['a row that is not due and has no entry is in flight', [row({ isDue: false })], { inFlight: 1 }],
  ['two entries at one position are a double', [row(), entry(), entry()], { duplicated: 1 }],
  ['a double counts also when the row was deleted', [entry(), entry()], { duplicated: 1, withoutRow: 2 }],
  [
    'one id inserted twice is delivered twice, rightly',
    [row(), row(), entry(), entry({ position: later })],
    { repeats: 1 },
  ],
  [
    'one id inserted twice, one row deleted: nothing is double, and nothing can be said of what they say',
    [row({ digest: OTHER }), entry(), entry({ position: later })],
    { repeats: 1 },
  ],
  ['of two rows with one entry, one is missing', [row(), row(), entry()], { missing: 1, repeats: 1 }],
  [
    'of two rows with one entry, the one that is not due is in flight',
    [row(), row({ isDue: false }), entry()],
    { inFlight: 1, repeats: 1 },
  ],
  ['a recovered entry stands for its row', [row(), recovered], { recovered: 1 }],
  ['an event in the dead letters is not missing', [row(), dead], { deadLettered: 1 }],
  ['nor is one that was redriven', [row(), redriven], { redriven: 1 }],
  [
    'one that is redriven while it is looked for is no double',
    [row(), dead, redriven],
    { deadLettered: 1, redriven: 1 },
  ],
  ['one letter stands for one row', [row(), row(), dead], { deadLettered: 1, missing: 1, repeats: 1 }],
  ['recovered though it stood there: a double', [row(), entry(), recovered], { recovered: 1, duplicated: 1 }],
  ['recovered twice: a double', [row(), recovered, recovered], { recovered: 2, duplicated: 1 }],
  ['a replay is no double', [row(), entry(), replayed, replayed], { replayed: 2 }],
  ['a replay to its own stream is there for its row', [row(), replayed], { replayed: 1 }],
  ['a replay to another stream is not', [row(), { ...replayed, stream: 3 }], { replayed: 1, missing: 1 }],
  ['an entry that says something else is altered', [row(), entry({ digest: OTHER })], { altered: 1 }],
  ['what may stand for other bytes is not compared', [row(), entry({ digest: OTHER, isLossy: true })], {}],
  ['an entry in another stream is elsewhere, not missing', [row(), entry({ stream: 4 })], { elsewhere: 1 }],
  ['an entry out of order is misordered', [row(), entry({ order: 'broken' })], { misordered: 1 }],
  [
    'a double that stands out of order is said once',
    [row(), entry(), entry({ order: 'broken' })],
    { duplicated: 1 },
  ],
  [
    'an entry of a snapshot stands for its row',
    [row(), entry({ origin: 'snapshot', position: null })],
    { fromSnapshot: 1 },
  ],
  [
    'an event that came as an entry of a snapshot and relayed is doubled',
    [row(), entry({ origin: 'snapshot', position: null }), entry()],
    { fromSnapshot: 1, duplicated: 1 },
  ],
  ['an entry without a row is no finding', [entry()], { withoutRow: 1 }],
] as const)('%s', (_, records, expected) => {
  const verdict = judgeGroup(records);
  const counts = Object.fromEntries(
    Object.entries(verdict).map(([name, value]) => [name, Array.isArray(value) ? value.length : value]),
  );
  expect(counts).toEqual({
    missing: 0,
    inFlight: 0,
    duplicated: 0,
    misordered: 0,
    altered: 0,
    elsewhere: 0,
    withoutRow: 0,
    repeats: 0,
    recovered: 0,
    redriven: 0,
    deadLettered: 0,
    fromSnapshot: 0,
    replayed: 0,
    ...expected,
  });
});
