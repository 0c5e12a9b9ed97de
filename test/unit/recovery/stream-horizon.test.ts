import { describe, expect, test } from 'vitest';
import { horizonOf, judgeRow, VERDICT } from '../../../src/recovery/stream-horizon.ts';
import type { StreamFacts } from '../../../src/sink/stream-ids.ts';

const STREAM: StreamFacts = {
  name: 'outbox.order',
  entries: 3,
  oldestCommittedUs: 1_000,
  newestCommittedUs: 2_000,
  deletedUpToUs: null,
};
const RELAYED = { hasRelayed: true, newestCommittedUs: 2_000 };
const { republish, relayed, doubtful } = VERDICT;

describe('a row that no stream holds', () => {
  test.each([
    ['made when the oldest entry was committed, or later', STREAM, RELAYED, 1_000, republish],
    ['made before', STREAM, RELAYED, 999, relayed],
    ['made nobody knows when', STREAM, RELAYED, null, doubtful],
    ['made before a consumer deleted entries', { ...STREAM, deletedUpToUs: 1_500 }, RELAYED, 1_499, doubtful],
    ['made after a consumer deleted entries', { ...STREAM, deletedUpToUs: 1_500 }, RELAYED, 1_500, republish],
    ['made before all of them', { ...STREAM, deletedUpToUs: 1_500 }, RELAYED, 999, relayed],
    ['of a stream that is gone, made before the newest entry of all', null, RELAYED, 1_999, doubtful],
    ['of a stream that is gone, made later', null, RELAYED, 2_000, republish],
    ['where all entries are gone', null, { hasRelayed: true, newestCommittedUs: null }, 9e15, doubtful],
    [
      'where no relay ever appended anything',
      null,
      { hasRelayed: false, newestCommittedUs: null },
      0,
      republish,
    ],
    [
      'where none ever did, and nobody knows when it was made',
      null,
      { hasRelayed: false, newestCommittedUs: null },
      null,
      republish,
    ],
    [
      'of a stream of recovered entries alone',
      { ...STREAM, oldestCommittedUs: null, newestCommittedUs: null },
      RELAYED,
      2_000,
      republish,
    ],
    [
      'of recovered entries that a consumer has deleted some of',
      { ...STREAM, oldestCommittedUs: null, newestCommittedUs: null, deletedUpToUs: 5_000 },
      { hasRelayed: false, newestCommittedUs: null },
      4_999,
      doubtful,
    ],
  ])('%s', (_, facts, lane, madeUs, verdict) => {
    expect(judgeRow(madeUs, horizonOf(facts, lane))).toBe(verdict);
  });
});
