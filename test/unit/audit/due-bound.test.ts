import { describe, expect, test } from 'vitest';
import { dueBound, stillHolds } from '../../../src/audit/due-bound.ts';
import type { ServerState } from '../../../src/audit/relay-state.ts';
import { isXidBefore, laterXid } from '../../../src/audit/transaction-ids.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import { ORIGIN } from '../../../src/core/position.ts';
import type { LaneState } from '../../../src/sink/lane-state.ts';

const LANE: LaneState = {
  epoch: 1,
  fence: 1,
  watermark: ORIGIN,
  floorLsn: toLsn(500n),
  systemId: '7',
  timeline: 1,
  slot: 'walrelay',
  database: 'shop',
  publicationIdentity: '',
};

function server(walEnd: bigint, slot: { confirmed: bigint; catalogXmin: number } | null): ServerState {
  return {
    systemId: '7',
    timeline: 1,
    database: 'shop',
    snapshotXmin: 900,
    walEndLsn: toLsn(walEnd),
    tracksCommitTime: false,
    nowUs: 0n,
    slot:
      slot === null
        ? null
        : {
            confirmedLsn: toLsn(slot.confirmed),
            catalogXmin: slot.catalogXmin,
            isActive: true,
            holder: null,
            walStatus: 'reserved',
          },
  };
}

describe('rows are due', () => {
  test('before the snapshot, once the floor has reached the end of the WAL that was read after it', () => {
    expect(dueBound(server(500n, { confirmed: 400n, catalogXmin: 800 }), LANE)).toMatchObject({
      xid: 900,
      from: 'snapshot',
    });
  });

  test('only before the horizon of the slot while the floor is a byte behind', () => {
    expect(dueBound(server(501n, { confirmed: 400n, catalogXmin: 800 }), LANE)).toMatchObject({
      xid: 800,
      from: 'slot',
    });
  });

  test('not at all without a slot while the floor is behind', () => {
    expect(dueBound(server(501n, null), LANE)).toEqual({ xid: null, from: 'nothing', lsn: null });
  });
});

describe('what was concluded', () => {
  const bound = dueBound(server(500n, { confirmed: 400n, catalogXmin: 800 }), LANE);

  test('holds while the floor grows', () => {
    expect(stillHolds(bound, LANE, { ...LANE, floorLsn: toLsn(900n) })).toBe(true);
  });

  test('does not hold when Redis went back, or in another epoch', () => {
    expect(stillHolds(bound, LANE, { ...LANE, floorLsn: toLsn(499n) })).toBe(false);
    expect(stillHolds(bound, LANE, { ...LANE, epoch: 2 })).toBe(false);
  });
});

describe('a transaction id', () => {
  test('is before another one also across the wrap-around', () => {
    expect(isXidBefore(99, 100)).toBe(true);
    expect(isXidBefore(100, 100)).toBe(false);
    expect(isXidBefore(101, 100)).toBe(false);
    expect(isXidBefore(0xffff_fff0, 5)).toBe(true);
    expect(isXidBefore(5, 0xffff_fff0)).toBe(false);
  });

  test('of Postgres itself is before every other', () => {
    expect(isXidBefore(2, 0x9000_0000)).toBe(true);
  });

  test('is the later of two, where there are two', () => {
    expect(laterXid(5, 0xffff_fff0)).toBe(5);
    expect(laterXid(null, 7)).toBe(7);
    expect(laterXid(null, null)).toBeNull();
  });
});
