import { type StreamFacts, readStreamIds } from '../sink/stream-ids.ts';
import { escapeGlob, StreamReader } from '../sink/stream-reader.ts';
import type { Ground } from '../relay/ground.ts';
import type { IdPartitions } from './id-partitions.ts';

export interface HeldIds {
  readonly partitions: IdPartitions;
  readonly streams: ReadonlyMap<string, StreamFacts>;
  readonly entries: number;
  /** The oldest and the newest commit time in any stream. Microseconds since 1970. */
  readonly oldestCommittedUs: number | null;
  readonly newestCommittedUs: number | null;
}

/** Reads the ids of all entries of all streams that the template can name. */
export async function readHeld(
  { shape, nodes }: Pick<Ground, 'shape' | 'nodes'>,
  partitions: IdPartitions,
  progress: (entries: number) => void,
): Promise<HeldIds> {
  const streams = new Map<string, StreamFacts>();
  let entries = 0;
  let oldestCommittedUs: number | null = null;
  let newestCommittedUs: number | null = null;
  const pattern = shape.template.literals.map(escapeGlob).join('*');
  for (const node of nodes.writers) {
    for await (const name of new StreamReader(node).names(pattern)) {
      const facts = await readStreamIds(node, name, (id) => {
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
  progress(entries);
  return { partitions, streams, entries, oldestCommittedUs, newestCommittedUs };
}
