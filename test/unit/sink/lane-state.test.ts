import { describe, expect, test } from 'vitest';
import { parseLsn, toLsn } from '../../../src/core/lsn.ts';
import { laneFromFields, type LaneState, laneToFields } from '../../../src/sink/lane-state.ts';
import { thrownCode } from '../thrown-code.ts';

const LANE: LaneState = {
  epoch: 3,
  fence: 41,
  watermark: { commitLsn: parseLsn('16/B374D848'), ordinal: 12 },
  floorLsn: toLsn(2n ** 64n - 1n),
  systemId: '7469853285702598661',
  timeline: 2,
  slot: 'walrelay',
  database: 'shöp',
  publicationIdentity: 'publication 1:2 table 3',
};

/** The version has tests of its own; the others came later, and say nothing when they are missing. */
const OPTIONAL = ['v', 'recovery', 'snapshot', 'snapshot_selection', 'clean_up'];

test('a lane is read back as it was written', () => {
  expect(laneFromFields('lane', laneToFields(LANE))).toEqual(LANE);
  const noted = { ...LANE, cleanUp: '7@1000' };
  expect(laneFromFields('lane', laneToFields(noted))).toEqual(noted);
});

test('fields of others, as the name of the holder, are left alone', () => {
  expect(laneFromFields('lane', { ...laneToFields(LANE), holder: 'host:7' })).toEqual(LANE);
});

test('no fields are no lane', () => {
  expect(laneFromFields('lane', {})).toBeNull();
});

describe('a lane of another version', () => {
  test.each(['2', '0', '', '01', ' 1'])('%j is not read', (v) => {
    expect(thrownCode(() => laneFromFields('lane', { ...laneToFields(LANE), v }))).toBe('LANE_VERSION');
  });

  test('that is not given is not read', () => {
    expect(thrownCode(() => laneFromFields('lane', { holder: 'x' }))).toBe('LANE_VERSION');
  });
});

describe('a damaged lane', () => {
  test.each(Object.keys(laneToFields(LANE)).filter((name) => !OPTIONAL.includes(name)))(
    'has lost its field %s',
    (name) => {
      const fields = laneToFields(LANE);
      delete fields[name];
      expect(() => laneFromFields('lane', fields)).toThrow(`lost its field ${name}`);
      expect(thrownCode(() => laneFromFields('lane', fields))).toBe('REDIS_BEHIND');
    },
  );

  test.each([
    ['epoch', ''],
    ['epoch', '-1'],
    ['epoch', '1.5'],
    ['epoch', '1e3'],
    ['fence', 'x'],
    ['fence', ' 1'],
    ['fence', '9'.repeat(16)],
    ['timeline', '0x1'],
    ['watermark', ''],
    ['watermark', '0'.repeat(27)],
    ['watermark', 'a'.repeat(28)],
    ['floor', '0/0'],
    ['floor', '0'.repeat(15)],
  ])('has %s = %j', (name, value) => {
    const fields = { ...laneToFields(LANE), [name]: value };
    expect(() => laneFromFields('the-lane', fields)).toThrow('the lane state the-lane is damaged');
    expect(thrownCode(() => laneFromFields('the-lane', fields))).toBe('REDIS_BEHIND');
  });
});
