import type { Cluster, Redis } from 'ioredis';
import { expect } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import { compareStreams, type RelayedEvent } from './compare-streams.ts';
import { expectFlawless, type Oracle, readEntries } from './exactness.ts';
import type { Outbox } from './outbox.ts';

export const DEAD_LETTER_ENV = { WALRELAY_POISON: 'dead-letter', WALRELAY_BACKOFF_MIN_MS: '20' };

export type Letter = Readonly<Record<string, string>> & { readonly entryId: string };

/** The dead letters of a stream, in its order. */
export async function readLetters(redis: Redis | Cluster, key: string): Promise<Letter[]> {
  return (await redis.xrange(key, '-', '+')).map(([entryId, list]) => {
    const fields: Record<string, string> = {};
    for (let at = 0; at + 1 < list.length; at += 2) fields[list[at] as string] = list[at + 1] as string;
    return { ...fields, entryId };
  });
}

export function letterKey(outbox: Outbox): string {
  return `${outbox.metaKey}:dead-letters`;
}

/**
 * Every event stands once: those of these aggregate types (or that are told so) in the dead letters, all others in their
 * streams, both in commit order. Returns how many there are of each.
 */
export async function expectApart(
  outbox: Outbox,
  oracle: Oracle,
  poison: readonly string[] | ((event: RelayedEvent) => boolean),
  ...eventOf: readonly Parameters<typeof readEntries>[2][]
): Promise<{ readonly events: number; readonly letters: number }> {
  const all = await oracle.read();
  const isPoison =
    typeof poison === 'function'
      ? poison
      : ({ aggregateType }: RelayedEvent) => poison.includes(aggregateType);
  const letters = await readLetters(outbox.redis, letterKey(outbox));
  expect(letters.map(({ lsn, seq }) => `${lsn} #${seq}`)).toEqual(
    all.filter(isPoison).map(({ lsn, seq }) => `${lsn} #${seq}`),
  );
  const exactness = compareStreams(
    all.filter((event) => !isPoison(event)),
    await readEntries(outbox.redis, outbox.name, ...eventOf),
  );
  expectFlawless(exactness);
  const floor = parseLsn(await outbox.confirmedLsn());
  expect(floor > 0n).toBe(true);
  return { events: exactness.events, letters: letters.length };
}
