import { type StreamFacts, readStreamIds } from '../sink/stream-ids.ts';
import { escapeGlob, StreamReader } from '../sink/stream-reader.ts';
import { findLetters } from '../dead-letters/find-letters.ts';
import { findNameFault } from '../route/stream-router.ts';
import type { Ground } from '../relay/ground.ts';
import { type Outbox, rolesOf } from '../route/outbox.ts';
import type { IdPartitions } from './id-partitions.ts';

export interface HeldIds {
  readonly partitions: IdPartitions;
  readonly streams: ReadonlyMap<string, StreamFacts>;
  readonly entries: number;
  /** The oldest and the newest commit time in any stream. Microseconds since 1970. */
  readonly oldestCommittedUs: number | null;
  readonly newestCommittedUs: number | null;
}

/** Reads the ids of all entries of all streams that an outbox can name. A stream of two outboxes is read for each. */
export async function readHeld(
  { nodes, lanes, settings }: Pick<Ground, 'nodes' | 'lanes' | 'settings'>,
  outbox: Outbox,
  partitions: IdPartitions,
  progress: (entries: number) => void,
): Promise<HeldIds> {
  const streams = new Map<string, StreamFacts>();
  let entries = 0;
  let oldestCommittedUs: number | null = null;
  let newestCommittedUs: number | null = null;
  const patterns = new Set(outbox.templates.map(({ literals }) => literals.map(escapeGlob).join('*')));
  const places = [...patterns].flatMap((pattern) => nodes.writers.map((node) => ({ pattern, node })));
  for (const { pattern, node } of places) {
    for await (const name of new StreamReader(node).names(pattern)) {
      if (streams.has(name) || findNameFault(name, settings) !== null) continue;
      const facts = await readStreamIds(node, name, rolesOf(outbox), (id) => {
        partitions.addHeld(id);
        entries += 1;
        if (entries % 1000 === 0) progress(entries);
      });
      streams.set(name, facts);
      if (facts.oldestCommittedUs === null || facts.newestCommittedUs === null) continue;
      oldestCommittedUs = Math.min(oldestCommittedUs ?? Number.POSITIVE_INFINITY, facts.oldestCommittedUs);
      newestCommittedUs = Math.max(newestCommittedUs ?? 0, facts.newestCommittedUs);
    }
  }
  // An event that could not pass is not missing: it is redriven or discarded.
  const ground = {
    settings,
    redisOf: (key: string) => nodes.nodeOf(key).writer,
    readLane: () => lanes.read(),
  };
  for await (const heads of findLetters(ground, { outbox: outbox.mapping.name })) {
    for (const { eventId } of heads) {
      if (eventId !== null) partitions.addHeld(eventId);
    }
  }
  progress(entries);
  return { partitions, streams, entries, oldestCommittedUs, newestCommittedUs };
}
