import { describe, expect, test } from 'vitest';
import { parseLsn } from '../../../src/core/lsn.ts';
import { ORIGIN } from '../../../src/core/position.ts';
import { checkHistory, type History, isFreshSlot, laneMissing } from '../../../src/relay/history-guard.ts';
import type { LanePartState, LaneState } from '../../../src/sink/lane-state.ts';
import { freshSlotComment } from '../../../src/source/setup-sql.ts';
import type { SystemIdentity } from '../../../src/source/system-identity.ts';
import { catalogWith } from '../source/catalog-facts.ts';
import { thrownCode } from '../thrown-code.ts';

const SYSTEM_ID = '7469853285702598661';
const CATALOG = catalogWith(); // confirmed 0/4000, WAL end 0/5000

const LANE: LaneState = {
  epoch: 1,
  fence: 1,
  watermark: { commitLsn: parseLsn('0/4800'), ordinal: 3 },
  floorLsn: parseLsn('0/4000'),
  systemId: SYSTEM_ID,
  timeline: 2,
  slot: 'walrelay',
  database: 'shop',
  publicationIdentity: CATALOG.publication!.identity,
};

function codeOf({
  lane = {},
  identity = {},
  catalog = CATALOG,
  forks = {},
}: {
  readonly lane?: Partial<LaneState>;
  readonly identity?: Partial<SystemIdentity>;
  readonly catalog?: History['catalog'];
  /** By timeline. */
  readonly forks?: Readonly<Record<number, string>>;
}): string | null {
  return thrownCode(() =>
    checkHistory({
      lane: { ...LANE, ...lane },
      catalog,
      identity: { systemId: SYSTEM_ID, timeline: 2, ...identity },
      slot: 'walrelay',
      metaKey: 'walrelay:lane',
      forkLsns: new Map(Object.entries(forks).map(([timeline, lsn]) => [Number(timeline), parseLsn(lsn)])),
    }),
  );
}

test('one unbroken history passes', () => {
  expect(codeOf({})).toBeNull();
});

describe('the lane', () => {
  test('of another slot or database is not ours', () => {
    expect(codeOf({ lane: { slot: 'other' } })).toBe('LANE_FOREIGN');
    expect(codeOf({ lane: { database: 'test' } })).toBe('LANE_FOREIGN');
  });

  test('of another cluster is not of this server', () => {
    expect(codeOf({ identity: { systemId: '1' } })).toBe('SYSTEM_CHANGED');
  });

  test('whose floor is behind the slot shows that Redis lost what it had accepted', () => {
    expect(codeOf({ lane: { floorLsn: parseLsn('0/3FFF') } })).toBe('REDIS_BEHIND');
    expect(codeOf({ lane: { floorLsn: parseLsn('0/4000') } })).toBeNull();
  });

  test('whose floor is ahead of the slot was noted before Postgres was told: that is fine', () => {
    expect(codeOf({ lane: { floorLsn: parseLsn('0/4900') } })).toBeNull();
  });

  test('whose watermark is behind the slot is fine: what was between were no events', () => {
    expect(codeOf({ lane: { watermark: ORIGIN } })).toBeNull();
  });

  test('of another publication is not gone on with', () => {
    expect(codeOf({ lane: { publicationIdentity: 'publication 1:1' } })).toBe('PUBLICATION_CHANGED');
    expect(codeOf({ catalog: catalogWith({ publication: null }) })).toBe('PUBLICATION_CHANGED');
  });
});

describe('the server', () => {
  test('whose WAL ends before the watermark was restored from an older copy', () => {
    expect(codeOf({ catalog: catalogWith({ server: { walEndLsn: parseLsn('0/47FF') } }) })).toBe(
      'POSTGRES_BEHIND',
    );
  });

  test('whose WAL ends where the commit of the watermark would begin does not have that commit', () => {
    expect(codeOf({ catalog: catalogWith({ server: { walEndLsn: parseLsn('0/4800') } }) })).toBe(
      'POSTGRES_BEHIND',
    );
  });

  test('whose WAL ends before the floor was restored from an older copy', () => {
    const lane = { floorLsn: parseLsn('0/4A00') };
    const catalog = (walEnd: string) => catalogWith({ server: { walEndLsn: parseLsn(walEnd) } });
    expect(codeOf({ lane, catalog: catalog('0/49FF') })).toBe('POSTGRES_BEHIND');
    expect(codeOf({ lane, catalog: catalog('0/4A00') })).toBeNull();
  });

  test('on an older timeline is an old primary', () => {
    expect(codeOf({ identity: { timeline: 1 } })).toBe('TIMELINE_BEHIND');
  });
});

describe('a promoted server', () => {
  test('that left the old timeline behind the watermark has all that Redis has', () => {
    expect(codeOf({ identity: { timeline: 3 }, forks: { 2: '0/4801' } })).toBeNull();
  });

  test('that left it at or before the watermark lacks commits that Redis has', () => {
    for (const fork of ['0/4800', '0/47FF', '0/4100']) {
      expect(codeOf({ identity: { timeline: 3 }, forks: { 2: fork } })).toBe('TIMELINE_FORK');
    }
  });

  test('that left it before the floor lacks what was confirmed', () => {
    const lane = { watermark: ORIGIN };
    expect(codeOf({ lane, identity: { timeline: 3 }, forks: { 2: '0/3FFF' } })).toBe('TIMELINE_FORK');
    expect(codeOf({ lane, identity: { timeline: 3 }, forks: { 2: '0/4000' } })).toBeNull();
  });
});

describe('a lane of a cluster', () => {
  // Beside a control state that has long noted timeline 3.
  const codeWith = (state: Partial<LanePartState>, forks: Readonly<Record<number, string>> = {}) =>
    codeOf({
      lane: {
        timeline: 3,
        parts: [
          { tag: 'a', key: 'walrelay:lane:{a}', notedLsns: [], state: { ...LANE, timeline: 3 } },
          { tag: 'b', key: 'walrelay:lane:{b}', notedLsns: [], state: { ...LANE, timeline: 3, ...state } },
        ],
      },
      identity: { timeline: 3 },
      forks,
    });

  test('of the same history passes', () => {
    expect(codeWith({})).toBeNull();
    expect(codeWith({ timeline: 2 }, { 2: '0/4801' })).toBeNull();
  });

  test('that holds what the promoted server never had is told by its own timeline', () => {
    expect(codeWith({ timeline: 2 }, { 2: '0/4800' })).toBe('TIMELINE_FORK');
    expect(codeWith({ timeline: 4 })).toBe('TIMELINE_BEHIND');
  });

  test('of another Postgres cluster is not of this server', () => {
    expect(codeWith({ systemId: '1' })).toBe('SYSTEM_CHANGED');
  });

  test('and another: what both sides know of ends where the server left the first of them', () => {
    const lane: LaneState = {
      ...LANE,
      timeline: 3,
      parts: [
        { tag: 'a', key: 'a', notedLsns: [], state: { ...LANE, timeline: 2 } },
        { tag: 'b', key: 'b', notedLsns: [], state: { ...LANE, timeline: 1 } },
      ],
    };
    const identity = { systemId: SYSTEM_ID, timeline: 3 };
    const forkLsns = new Map([
      [1, parseLsn('0/4100')],
      [2, parseLsn('0/4700')],
    ]);
    const check = () =>
      checkHistory({
        lane,
        catalog: CATALOG,
        identity,
        slot: 'walrelay',
        metaKey: 'walrelay:lane',
        forkLsns,
      });
    expect(check).toThrow(expect.objectContaining({ facts: { forkLsn: '0/4100' } }));
  });
});

describe('a missing lane', () => {
  const comment = freshSlotComment('walrelay', parseLsn('0/4000'));

  test('is a fresh start as long as nothing was confirmed past the place where init made the slot', () => {
    expect(isFreshSlot(catalogWith({ publication: { comment } }), 'walrelay')).toBe(true);
    const moved = catalogWith({ publication: { comment }, slot: { confirmedLsn: parseLsn('0/4001') } });
    expect(isFreshSlot(moved, 'walrelay')).toBe(false);
  });

  test('is a loss when nobody noted where the slot was made, or of which slot that is', () => {
    expect(isFreshSlot(catalogWith(), 'walrelay')).toBe(false);
    expect(isFreshSlot(catalogWith({ publication: { comment } }), 'other')).toBe(false);
    expect(isFreshSlot(catalogWith({ publication: null }), 'walrelay')).toBe(false);
    expect(isFreshSlot(catalogWith({ publication: { comment }, slot: null }), 'walrelay')).toBe(false);
    expect(
      isFreshSlot(catalogWith({ publication: { comment }, slot: { confirmedLsn: null } }), 'walrelay'),
    ).toBe(false);
  });

  test('is told as what it is', () => {
    const loss = laneMissing({ metaKey: 'walrelay:lane', slot: 'walrelay' }, CATALOG, false);
    expect(loss).toMatchObject({ code: 'LANE_MISSING', disposition: 'operator' });
    expect(loss.message).toContain('confirmed up to 0/4000');
    expect(laneMissing({ metaKey: 'walrelay:lane', slot: 'walrelay' }, CATALOG, true).hint).toContain(
      'walrelay init',
    );
  });
});
