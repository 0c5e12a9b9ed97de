import { Redis } from 'ioredis';

const BLOCK_MS = 1000;
const COUNT_MAX = 1000;

export interface StreamEntry {
  readonly stream: string;
  readonly entryId: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** A consumer that knows nothing of the relay: it blocks on the streams from their beginning. */
export class StreamReader {
  readonly #redis: Redis;
  readonly #lastIds: Map<string, string>;
  #isStopped = false;

  constructor(redisUrl: string, streams: readonly string[]) {
    this.#redis = new Redis(redisUrl, { lazyConnect: true, retryStrategy: () => null, noDelay: true });
    this.#redis.on('error', () => undefined);
    this.#lastIds = new Map(streams.map((stream) => [stream, '0-0']));
  }

  async connect(): Promise<void> {
    await this.#redis.connect();
  }

  /** Calls `arrived` with each entry and the moment its read returned. Resolves after `stop`. */
  async run(arrived: (entry: StreamEntry, readMs: number) => void): Promise<void> {
    while (!this.#isStopped) {
      const reply = await this.#read();
      const readMs = performance.now();
      for (const [stream, entries] of reply) {
        for (const [entryId, fields] of entries) {
          this.#lastIds.set(stream, entryId);
          arrived({ stream, entryId, fields: toRecord(fields) }, readMs);
        }
      }
    }
  }

  /** Every entry that stands in the streams now, stream by stream. */
  async *readAll(): AsyncGenerator<StreamEntry> {
    for (const stream of this.#lastIds.keys()) {
      let from = '-';
      for (;;) {
        const entries = await this.#redis.xrange(stream, from, '+', 'COUNT', COUNT_MAX);
        for (const [entryId, fields] of entries) yield { stream, entryId, fields: toRecord(fields) };
        const last = entries.at(-1);
        if (last === undefined) break;
        from = `(${last[0]}`;
      }
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  close(): void {
    this.#isStopped = true;
    this.#redis.disconnect();
  }

  async #read(): Promise<[stream: string, entries: [id: string, fields: string[]][]][]> {
    try {
      const streams = [...this.#lastIds.keys()];
      const ids = [...this.#lastIds.values()];
      return (
        (await this.#redis.xread('COUNT', COUNT_MAX, 'BLOCK', BLOCK_MS, 'STREAMS', ...streams, ...ids)) ?? []
      );
    } catch (error) {
      if (this.#isStopped) return [];
      throw new Error(`the reader failed: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
}

function toRecord(fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let at = 0; at + 1 < fields.length; at += 2) record[fields[at] as string] = fields[at + 1] as string;
  return record;
}
