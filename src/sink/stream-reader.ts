import { WalrelayError } from '../core/walrelay-error.ts';
import type { RedisConnection } from './redis-connection.ts';
import { unknownReply } from './redis-reply.ts';

/** Where an entry stands in its stream: `<ms>-<seq>`, as Redis writes it. */
export type EntryId = string;

/** An entry as it stands in a stream: its fields by name. */
export interface StreamEntry {
  readonly id: EntryId;
  readonly fields: Readonly<Record<string, string>>;
}

/** What Redis says about a stream as a whole. */
export interface StreamInfo {
  readonly firstId: EntryId | null;
  readonly lastId: EntryId;
  /** Whether entries were ever trimmed or deleted. True where Redis can't say (before 7.0). */
  readonly hasLostEntries: boolean;
  /** The newest entry that somebody has deleted (XDEL). Null where there was none, or Redis can't say (before 7.0). */
  readonly newestDeletedId: EntryId | null;
}

/** Reads streams, and nothing else; the connection must be the one that holds their keys. */
export class StreamReader {
  readonly #redis: RedisConnection;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /** Null when the key does not exist. Throws REDIS_KEY_TYPE when it is no stream. */
  async info(stream: string): Promise<StreamInfo | null> {
    const info = await this.#xinfo(stream);
    if (info === null) return null;
    const first = info.get('first-entry');
    const deletedId = info.get('max-deleted-entry-id');
    return {
      firstId: Array.isArray(first) ? String(first[0]) : null,
      lastId: String(info.get('last-generated-id')),
      hasLostEntries: info.get('entries-added') !== info.get('length'),
      newestDeletedId: typeof deletedId === 'string' && deletedId !== '0-0' ? deletedId : null,
    };
  }

  async #xinfo(stream: string): Promise<Map<string, unknown> | null> {
    try {
      const doing = `reading about the stream ${stream}`;
      return pairsToMap(await this.#redis.command(doing, 'XINFO', 'STREAM', stream));
    } catch (error) {
      // Redis has no word of its own for it; to ask EXISTS first would miss a key that goes in between.
      if (error instanceof WalrelayError && /no such key/i.test(error.message)) return null;
      throw error;
    }
  }

  /** Up to `count` entries from `from` on (`(` in front: behind it), none behind `to`. */
  async range(stream: string, from: string, to: string, count: number): Promise<StreamEntry[]> {
    const reply = await this.#redis.command(
      `reading the stream ${stream}`,
      'XRANGE',
      stream,
      from,
      to,
      'COUNT',
      count,
    );
    if (!Array.isArray(reply)) throw unknownReply('XRANGE');
    return reply.map((entry: unknown) => {
      if (!Array.isArray(entry) || !Array.isArray(entry[1])) throw unknownReply('XRANGE');
      return {
        id: String(entry[0]),
        fields: Object.fromEntries(pairsToMap(entry[1])) as Record<string, string>,
      };
    });
  }

  /**
   * The streams whose names match a glob pattern, by SCAN: every key of the database is looked at, each name comes once.
   */
  async *names(pattern: string): AsyncGenerator<string> {
    // SCAN may give a key twice.
    const seen = new Set<string>();
    let cursor = '0';
    do {
      const reply = await this.#redis.command(
        'looking for streams',
        'SCAN',
        cursor,
        'MATCH',
        pattern,
        'COUNT',
        KEYS_PER_SCAN,
        'TYPE',
        'stream',
      );
      if (!Array.isArray(reply) || !Array.isArray(reply[1])) throw unknownReply('SCAN');
      cursor = String(reply[0]);
      for (const name of reply[1] as unknown[]) {
        const key = String(name);
        if (seen.has(key)) continue;
        seen.add(key);
        yield key;
      }
    } while (cursor !== '0');
  }

  async groups(stream: string): Promise<ReadonlyMap<string, unknown>[]> {
    const reply = await this.#redis.command(
      `reading the consumer groups of ${stream}`,
      'XINFO',
      'GROUPS',
      stream,
    );
    if (!Array.isArray(reply)) throw unknownReply('XINFO GROUPS');
    return reply.map(pairsToMap);
  }

  /** Who holds the entry in the group and has not acknowledged it; null when nobody does. */
  async pending(stream: string, group: string, id: EntryId): Promise<PendingEntry | null> {
    const reply = await this.#redis.command(
      `reading what the group ${group} holds`,
      'XPENDING',
      stream,
      group,
      id,
      id,
      1,
    );
    if (!Array.isArray(reply)) throw unknownReply('XPENDING');
    const [found] = reply as unknown[];
    if (!Array.isArray(found)) return null;
    const [, consumer, idleMs, deliveries] = found as unknown[];
    return { consumer: String(consumer), idleMs: Number(idleMs), deliveries: Number(deliveries) };
  }
}

const KEYS_PER_SCAN = 1000;

export interface PendingEntry {
  readonly consumer: string;
  readonly idleMs: number;
  readonly deliveries: number;
}

/** A pattern of SCAN that matches this text alone. https://redis.io/docs/latest/commands/keys/ */
export function escapeGlob(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, '\\$&');
}

/** Compares two entry IDs as Redis orders them. */
export function compareEntryIds(a: EntryId, b: EntryId): number {
  const [aMs, aSeq] = parseEntryId(a);
  const [bMs, bSeq] = parseEntryId(b);
  if (aMs !== bMs) return aMs < bMs ? -1 : 1;
  return aSeq === bSeq ? 0 : aSeq < bSeq ? -1 : 1;
}

/** `[ms, seq]`; throws REDIS_REFUSED for anything else. */
export function parseEntryId(id: EntryId): [ms: bigint, seq: bigint] {
  const match = /^(\d{1,20})-(\d{1,20})$/.exec(id);
  if (match === null) throw unknownReply(`an entry ID (${JSON.stringify(id)})`);
  return [BigInt(match[1] as string), BigInt(match[2] as string)];
}

function pairsToMap(reply: unknown): Map<string, unknown> {
  if (!Array.isArray(reply)) throw unknownReply('XINFO');
  const map = new Map<string, unknown>();
  for (let index = 0; index + 1 < reply.length; index += 2) map.set(String(reply[index]), reply[index + 1]);
  return map;
}
