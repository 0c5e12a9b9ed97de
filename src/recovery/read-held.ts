import { findLetters } from '../dead-letters/find-letters.ts';
import type { Ground } from '../relay/ground.ts';
import { type Outbox, rolesOf } from '../route/outbox.ts';
import { findNameFault } from '../route/stream-router.ts';
import type { RedisConnection } from '../sink/redis-connection.ts';
import { readStreamIds, type StreamFacts } from '../sink/stream-ids.ts';
import { escapeGlob, StreamReader } from '../sink/stream-reader.ts';
import type { IdPartitions } from './id-partitions.ts';

export interface HeldIds {
  /** For each outbox, what it can have entries in. */
  readonly tables: readonly HeldTable[];
  /** Of streams that several outboxes can name: what their ids are kept under. Others are under the number of their outbox. */
  readonly sharedScopes: ReadonlyMap<string, number>;
  readonly entries: number;
}

export interface HeldTable {
  readonly streams: ReadonlyMap<string, StreamFacts>;
  /** The oldest and the newest commit time in any stream. Microseconds since 1970. */
  readonly oldestCommittedUs: number | null;
  readonly newestCommittedUs: number | null;
}

/** Reads the ids of all entries of all streams that the outboxes can name. */
export async function readHeld(
  ground: Pick<Ground, 'nodes' | 'lanes' | 'settings'>,
  outboxes: readonly Outbox[],
  partitions: IdPartitions,
  progress: (entries: number) => void,
): Promise<HeldIds> {
  const tables = outboxes.map(() => new Map<string, StreamFacts>());
  const sharedScopes = new Map<string, number>();
  let entries = 0;
  for (const [name, { node, numbers }] of await findStreams(ground, outboxes)) {
    const [own = 0, ...others] = numbers;
    const scope = others.length === 0 ? own : outboxes.length + sharedScopes.size;
    if (others.length > 0) sharedScopes.set(name, scope);
    // Outboxes of several formats may share a stream: an entry is then of one of them.
    const known = new Map<string, StreamFacts>();
    for (const number of numbers) {
      const roles = rolesOf(outboxes[number] as Outbox);
      const key = JSON.stringify(roles);
      const facts =
        known.get(key) ??
        (await readStreamIds(node, name, roles, (id) => {
          partitions.addHeld(id, scope);
          entries += 1;
          if (entries % 1000 === 0) progress(entries);
        }));
      known.set(key, facts);
      tables[number]?.set(name, facts);
    }
  }
  await addLetters(ground, outboxes, partitions);
  progress(entries);
  return { tables: tables.map(withTimes), sharedScopes, entries };
}

/** By name, where each is and which outboxes can name it. */
async function findStreams(
  { nodes, settings }: Pick<Ground, 'nodes' | 'settings'>,
  outboxes: readonly Outbox[],
): Promise<ReadonlyMap<string, { readonly node: RedisConnection; readonly numbers: readonly number[] }>> {
  const found = new Map<string, { readonly node: RedisConnection; readonly numbers: number[] }>();
  for (const [number, { templates }] of outboxes.entries()) {
    const patterns = new Set(templates.map(({ literals }) => literals.map(escapeGlob).join('*')));
    const places = [...patterns].flatMap((pattern) => nodes.writers.map((node) => ({ pattern, node })));
    for (const { pattern, node } of places) {
      for await (const name of new StreamReader(node).names(pattern)) {
        if (findNameFault(name, settings) !== null) continue;
        const stream = found.get(name) ?? { node, numbers: [] };
        found.set(name, stream);
        if (!stream.numbers.includes(number)) stream.numbers.push(number);
      }
    }
  }
  return found;
}

/** An event that could not pass is not missing: it is redriven or discarded. */
async function addLetters(
  { nodes, lanes, settings }: Pick<Ground, 'nodes' | 'lanes' | 'settings'>,
  outboxes: readonly Outbox[],
  partitions: IdPartitions,
): Promise<void> {
  const ground = {
    settings,
    redisOf: (key: string) => nodes.nodeOf(key).writer,
    readLane: () => lanes.read(),
  };
  for (const [number, { mapping }] of outboxes.entries()) {
    for await (const heads of findLetters(ground, { outbox: mapping.name })) {
      for (const { eventId } of heads) if (eventId !== null) partitions.addHeld(eventId, number);
    }
  }
}

function withTimes(streams: ReadonlyMap<string, StreamFacts>): HeldTable {
  let oldestCommittedUs: number | null = null;
  let newestCommittedUs: number | null = null;
  for (const facts of streams.values()) {
    if (facts.oldestCommittedUs === null || facts.newestCommittedUs === null) continue;
    oldestCommittedUs = Math.min(oldestCommittedUs ?? Number.POSITIVE_INFINITY, facts.oldestCommittedUs);
    newestCommittedUs = Math.max(newestCommittedUs ?? 0, facts.newestCommittedUs);
  }
  return { streams, oldestCommittedUs, newestCommittedUs };
}
