import { describe, expect, test } from 'vitest';
import { horizonOf, judgeRow, VERDICT } from '../../../src/recovery/stream-horizon.ts';
import type { StreamFacts } from '../../../src/sink/stream-ids.ts';

const STREAM: StreamFacts = {
  name: 'outbox.order',
  entries: 3,
  oldestCommittedUs: 1_000,
  newestCommittedUs: 2_000,
  hasLostEntries: false,
  deletedUpToUs: null,
};
const TRIMMED: StreamFacts = { ...STREAM, hasLostEntries: true };
const DELETED: StreamFacts = { ...TRIMMED, deletedUpToUs: 5_000_000 };
const OF_RECOVERED: StreamFacts = { ...STREAM, oldestCommittedUs: null, newestCommittedUs: null };
const RELAYED = { hasRelayed: true, oldestCommittedUs: 500, newestCommittedUs: 2_000 };
const EMPTIED = { hasRelayed: true, oldestCommittedUs: null, newestCommittedUs: null };
const FRESH = { hasRelayed: false, oldestCommittedUs: null, newestCommittedUs: null };
const { republish, relayed, doubtful } = VERDICT;

describe('a row that no stream holds', () => {
  test.each([
    ['of a stream that lost nothing, made since a relay has been at work', STREAM, RELAYED, 500, republish],
    [
      'of a stream that lost nothing, made before: it may be older than the relay',
      STREAM,
      RELAYED,
      499,
      doubtful,
    ],
    ['of a trimmed stream, made before its oldest entry was committed', TRIMMED, RELAYED, 999, relayed],
    ['of a trimmed stream, made with its oldest entry', TRIMMED, RELAYED, 1_000, doubtful],
    ['of a trimmed stream, made a second later', TRIMMED, RELAYED, 1_001_000, republish],
    ['made nobody knows when', STREAM, RELAYED, null, doubtful],
    ['made before a consumer deleted entries', DELETED, RELAYED, 4_999_999, doubtful],
    ['made after a consumer deleted entries', DELETED, RELAYED, 5_000_000, republish],
    ['made before the oldest entry that a consumer left', DELETED, RELAYED, 999, relayed],
    ['of a stream that is gone, made before the newest entry of all', null, RELAYED, 1_999, doubtful],
    ['of a stream that is gone, made later', null, RELAYED, 2_000, republish],
    ['where all entries are gone', null, EMPTIED, 9e15, doubtful],
    ['where no relay ever appended anything', null, FRESH, 0, republish],
    ['where none ever did, and nobody knows when it was made', null, FRESH, null, republish],
    ['of a stream of recovered entries alone', OF_RECOVERED, RELAYED, 2_000, republish],
    ['of a stream of recovered entries, made before', OF_RECOVERED, RELAYED, 1_999, doubtful],
    [
      'of recovered entries that a consumer has deleted some of',
      { ...OF_RECOVERED, deletedUpToUs: 5_000 },
      FRESH,
      4_999,
      doubtful,
    ],
  ])('%s', (_, facts, lane, madeUs, verdict) => {
    expect(judgeRow(madeUs, horizonOf(facts, lane))).toBe(verdict);
  });
});
