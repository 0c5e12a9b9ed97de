import { describe, expect, test } from 'vitest';
import { parseLsn } from '../../../src/core/lsn.ts';
import { findForkLsn, readForkLsn, readSystemIdentity } from '../../../src/source/system-identity.ts';

const HISTORY = `1\t0/3000148\tno recovery target specified

# a comment
2\t0/30001C0\tbefore 2026-01-01 00:00:00+00
12\t1A/FFFFFFFF\tno recovery target specified
`;

describe('a timeline history', () => {
  test('says where each parent was left', () => {
    expect(findForkLsn(HISTORY, 1)).toBe(parseLsn('0/3000148'));
    expect(findForkLsn(HISTORY, 2)).toBe(parseLsn('0/30001C0'));
    expect(findForkLsn(HISTORY, 12)).toBe(parseLsn('1A/FFFFFFFF'));
  });

  test('says nothing of a timeline that is no parent', () => {
    expect(findForkLsn(HISTORY, 3)).toBeNull();
    expect(findForkLsn('', 1)).toBeNull();
    expect(findForkLsn('11\t0/1\treason', 1)).toBeNull();
  });
});

describe('the fork', () => {
  const answer = (content: unknown) => async () => [{ filename: '00000003.history', content }];

  test('is not asked for on the same timeline', async () => {
    const neverAsked = () => Promise.reject(new Error('asked'));
    expect(await readForkLsn(neverAsked, 2, 2)).toBeNull();
    expect(await readForkLsn(neverAsked, 1, 2)).toBeNull();
  });

  test('is read from the history of the current timeline, bytes or text', async () => {
    expect(await readForkLsn(answer(HISTORY), 13, 2)).toBe(parseLsn('0/30001C0'));
    expect(await readForkLsn(answer(Buffer.from(HISTORY)), 13, 2)).toBe(parseLsn('0/30001C0'));
  });

  test('from a timeline that is no ancestor is an error, not a silence', async () => {
    await expect(readForkLsn(answer(HISTORY), 13, 5)).rejects.toMatchObject({ code: 'TIMELINE_FORK' });
    await expect(readForkLsn(async () => [], 13, 5)).rejects.toMatchObject({ code: 'TIMELINE_FORK' });
  });
});

describe('IDENTIFY_SYSTEM', () => {
  test('gives the cluster as text: its number is larger than a double holds', async () => {
    const query = async () => [{ systemid: '7469853285702598661', timeline: 3 }];
    expect(await readSystemIdentity(query)).toEqual({ systemId: '7469853285702598661', timeline: 3 });
  });

  test('without an answer is a protocol error', async () => {
    await expect(readSystemIdentity(async () => [])).rejects.toMatchObject({ code: 'PG_PROTOCOL' });
  });
});
