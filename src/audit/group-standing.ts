import { compareEntryIds, type EntryId, type StreamReader } from '../sink/stream-reader.ts';

/** Where a consumer group stands with one entry. */
export interface GroupStanding {
  readonly group: string;
  /** passed: read and acknowledged, or the group began behind it, or it was read without acknowledgement. */
  readonly state: 'not read' | 'held' | 'passed';
  readonly consumer?: string;
  /** Since it was delivered last. */
  readonly idleMs?: number;
  readonly deliveries?: number;
}

export async function standingOf(
  entryId: EntryId,
  stream: string,
  reader: StreamReader,
): Promise<GroupStanding[]> {
  const standings: GroupStanding[] = [];
  for (const info of await reader.groups(stream)) {
    const group = String(info.get('name'));
    const lastDelivered = String(info.get('last-delivered-id'));
    const pending = await reader.pending(stream, group, entryId);
    if (pending !== null) standings.push({ group, state: 'held', ...pending });
    else
      standings.push({ group, state: compareEntryIds(lastDelivered, entryId) < 0 ? 'not read' : 'passed' });
  }
  return standings;
}
