import { parseLsn } from '../core/lsn.ts';
import { parseCommittedAtUs } from '../sink/commit-time.ts';
import { parseEntryId, type StreamEntry } from '../sink/stream-reader.ts';
import { RECOVERED_AT, SNAPSHOT_AT } from '../sink/recovery-script.ts';
import { REPLAYED_AT } from '../sink/republish-script.ts';
import type { EntryOrigin, EntryRecord } from './audit-record.ts';
import { digestOf, isLossy, keyOf, sha256Hex } from './event-digest.ts';
import type { OrderCheck } from './order-check.ts';

/** What an entry is to the audit. `nameless`: an event without an id · `foreign`: nothing that Walrelay writes. */
export type ReadEntry = EntryRecord | 'nameless' | 'foreign';

/** `order`: of the entry's stream, whose entries come here in the order of their IDs. */
export function readEntry(entry: StreamEntry, stream: number, order: OrderCheck): ReadEntry {
  const { fields } = entry;
  const origin = originOf(fields);
  const position = positionOf(fields);
  const id = fields['id'];
  if (id === undefined && position === null && origin === 'relayed') return 'foreign';
  const aggregateType = fields['aggregate_type'] ?? null;
  const aggregateId = fields['aggregate_id'] ?? null;
  const committedAtUs = parseCommittedAtUs(fields['committed_at']);
  const kept =
    origin !== 'relayed' || position === null
      ? 'kept'
      : order.check({
          ...position,
          committedAtMs: committedAtUs === null ? Number.NaN : Number(committedAtUs / 1000n),
          aggregate: aggregateId === null ? null : JSON.stringify([aggregateType, aggregateId]),
        });
  if (id === undefined) return 'nameless';
  const type = fields['type'] ?? null;
  const payload = fields['payload'] ?? null;
  const [ms, seq] = parseEntryId(entry.id);
  return {
    kind: 'entry',
    key: keyOf(id),
    digest: digestOf({
      type,
      aggregateType,
      aggregateId,
      payloadSha256: payload === null ? null : sha256Hex(payload),
    }),
    stream,
    position,
    origin,
    order: kept,
    isLossy: [type, aggregateType, aggregateId, payload].some(isLossy),
    entryMs: Number(ms),
    entrySeq: Number(seq < SEQ_MAX ? seq : SEQ_MAX),
  };
}

export function originOf(fields: StreamEntry['fields']): EntryOrigin {
  if (fields[REPLAYED_AT] !== undefined) return 'replayed';
  if (fields[SNAPSHOT_AT] !== undefined) return 'snapshot';
  return fields[RECOVERED_AT] !== undefined ? 'recovered' : 'relayed';
}

export function positionOf(fields: StreamEntry['fields']): { lsn: bigint; seq: number } | null {
  const { lsn, seq } = fields;
  if (lsn === undefined || seq === undefined || !/^\d{1,14}$/.test(seq)) return null;
  try {
    return { lsn: parseLsn(lsn), seq: Number(seq) };
  } catch {
    return null;
  }
}

const SEQ_MAX = 0xffff_ffffn;
