import { describe, expect, test } from 'vitest';
import { parseLsn } from '../../../src/core/lsn.ts';
import { ORIGIN } from '../../../src/core/position.ts';
import { judgeStart } from '../../../src/recovery/snapshot-plan.ts';
import type { LaneState } from '../../../src/sink/lane-state.ts';
import { freshSlotComment } from '../../../src/source/setup-sql.ts';
import { catalogWith } from '../source/catalog-facts.ts';
import { thrownCode } from '../thrown-code.ts';

const NAMES = { slot: 'walrelay', metaKey: 'walrelay:walrelay' };
const LSN = parseLsn('0/4000');

function lane(changes: Partial<LaneState> = {}): LaneState {
  return {
    epoch: 1,
    fence: 1,
    watermark: ORIGIN,
    floorLsn: LSN,
    systemId: '7',
    timeline: 1,
    slot: 'walrelay',
    database: 'shop',
    publicationIdentity: '',
    ...changes,
  };
}

const noSlot = catalogWith({ slot: null });
const used = catalogWith({ slot: { confirmedLsn: LSN } });
const lost = catalogWith({ slot: { confirmedLsn: LSN, walStatus: 'lost' } });
const noted = (hasSnapshot: boolean) =>
  catalogWith({
    slot: { confirmedLsn: LSN },
    publication: { comment: freshSlotComment('walrelay', LSN, hasSnapshot) },
  });
const marked = lane({ snapshot: 'began just now' });

describe('a snapshot', () => {
  test.each([
    ['begins where there is nothing', noSlot, null, 'begin'],
    [
      'is added to a slot that is noted as new, by a plain init or by a snapshot whose lane Redis lost',
      noted(false),
      null,
      'add',
    ],
    ['is added to a slot that began with a snapshot, when Redis lost the lane', noted(true), null, 'add'],
    ['is added to a slot whose lane holds nothing', used, lane(), 'add'],
    ['goes on with the slot of the one that was interrupted', used, marked, 'continue'],
    ['begins anew when that slot is gone', noSlot, marked, 'anew'],
    ['begins anew when that slot is lost', lost, marked, 'anew'],
  ] as const)('%s', (_, catalog, state, start) => {
    expect(judgeStart(catalog, state, NAMES)).toBe(start);
  });

  test.each([
    ['a slot of which nobody knows whether it was used', used, null, 'LANE_MISSING'],
    [
      'a lane in which a relay has appended',
      used,
      lane({ watermark: { commitLsn: LSN, ordinal: 0 } }),
      'SNAPSHOT_TOO_LATE',
    ],
    ['an epoch that an operator accepted', used, lane({ epoch: 2 }), 'SNAPSHOT_TOO_LATE'],
    ['a recovery that has not ended', used, lane({ recovery: 'began' }), 'SNAPSHOT_TOO_LATE'],
    ['a slot that is gone while Redis remembers it', noSlot, lane(), 'SLOT_MISSING'],
    ['a lost slot while Redis remembers it', lost, lane(), 'SLOT_MISSING'],
  ] as const)('is refused beside %s', (_, catalog, state, code) => {
    expect(thrownCode(() => judgeStart(catalog, state, NAMES))).toBe(code);
  });
});
