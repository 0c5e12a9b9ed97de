import type { EntryRoles } from '../core/entry-shape.ts';
import { parseLsn } from '../core/lsn.ts';
import { parseCommittedAtUs } from '../sink/commit-time.ts';
import type { DeadLetterHead } from '../sink/dead-letter-reader.ts';
import { parseEntryId, type StreamEntry } from '../sink/stream-reader.ts';
import { RECOVERED_AT, SNAPSHOT_AT } from '../sink/recovery-script.ts';
import { REDRIVEN_AT } from '../sink/redrive-script.ts';
import { REPLAYED_AT } from '../sink/republish-script.ts';
import { type EntryOrigin, type EntryRecord, NO_STREAM } from './audit-record.ts';
import { digestOf, isLossy, keyOf, sha256Hex } from './event-digest.ts';
import type { OrderCheck } from './order-check.ts';

/** What an entry is to the audit. `nameless`: an event without an id · `foreign`: nothing that Walrelay writes. */
export type ReadEntry = EntryRecord | 'nameless' | 'foreign';

/** `order`: of the entry's stream, whose entries come here in the order of their IDs. `roles`: which field says what. */
export function readEntry(
  entry: StreamEntry,
  stream: number,
  order: OrderCheck,
  roles: EntryRoles,
): ReadEntry {
  const { fields } = entry;
  const origin = originOf(fields);
  const position = positionOf(fields, roles);
  const id = fieldOf(fields, roles.id);
  if (id === null && position === null && origin === 'relayed') return 'foreign';
  const aggregateType = fieldOf(fields, roles.aggregateType);
  const aggregateId = fieldOf(fields, roles.aggregateId);
  const committedAtUs = parseCommittedAtUs(fieldOf(fields, roles.committedAt) ?? undefined);
  const kept =
    origin !== 'relayed' || position === null
      ? 'kept'
      : order.check({
          ...position,
          committedAtMs: committedAtUs === null ? Number.NaN : Number(committedAtUs / 1000n),
          aggregate: aggregateId === null ? null : JSON.stringify([aggregateType, aggregateId]),
        });
  if (id === null) return 'nameless';
  const type = fieldOf(fields, roles.type);
  const payload = fieldOf(fields, roles.payload);
  const headers = roles.headers.map((name) => fieldOf(fields, name));
  const sha256OrNull = (text: string | null) => (text === null ? null : sha256Hex(text));
  const [ms, seq] = parseEntryId(entry.id);
  return {
    kind: 'entry',
    key: keyOf(id),
    digest: digestOf({
      type,
      aggregateType,
      aggregateId,
      payloadSha256: sha256OrNull(payload),
      headersSha256: headers.map(sha256OrNull),
    }),
    stream,
    position,
    origin,
    order: kept,
    isLossy: [type, aggregateType, aggregateId, payload, ...headers].some(isLossy),
    entryMs: Number(ms),
    entrySeq: Number(seq < SEQ_MAX ? seq : SEQ_MAX),
  };
}

/** A dead letter of an event with an id: it says where the event is, and is no entry of a stream. */
export function readLetter({ entryId, eventId }: DeadLetterHead, digest: Buffer): EntryRecord | null {
  if (eventId === null) return null;
  const [ms, seq] = parseEntryId(entryId);
  return {
    kind: 'entry',
    key: keyOf(eventId),
    digest,
    stream: NO_STREAM,
    position: null,
    origin: 'dead',
    order: 'kept',
    isLossy: true,
    entryMs: Number(ms),
    entrySeq: Number(seq < SEQ_MAX ? seq : SEQ_MAX),
  };
}

/** What a field of an entry says; null where it is not there, or no field says it. */
export function fieldOf(fields: StreamEntry['fields'], name: string | null): string | null {
  return name === null ? null : (fields[name] ?? null);
}

export function originOf(fields: StreamEntry['fields']): EntryOrigin {
  if (fields[REPLAYED_AT] !== undefined) return 'replayed';
  if (fields[SNAPSHOT_AT] !== undefined) return 'snapshot';
  if (fields[REDRIVEN_AT] !== undefined) return 'redriven';
  return fields[RECOVERED_AT] !== undefined ? 'recovered' : 'relayed';
}

export function positionOf(
  fields: StreamEntry['fields'],
  roles: EntryRoles,
): { lsn: bigint; seq: number } | null {
  const lsn = fieldOf(fields, roles.lsn);
  const seq = fieldOf(fields, roles.seq);
  if (lsn === null || seq === null || !/^\d{1,14}$/.test(seq)) return null;
  try {
    return { lsn: parseLsn(lsn), seq: Number(seq) };
  } catch {
    return null;
  }
}

const SEQ_MAX = 0xffff_ffffn;
