import type { Socket } from 'node:net';
import { openBareRedis, xaddHead } from './bare-redis.ts';
import { type BareSlot, readSlot } from './bare-replication.ts';
import { serveRequests } from './serve-requests.ts';

/**
 * What one event takes at least: the bytes of each Insert go into one XADD as they came. Nothing is decoded, routed,
 * counted or confirmed; after a crash everything would come again. (In a drain a relay that batches may be faster.)
 */
serveRequests({ start: relay });

export interface FloorJob extends BareSlot {
  readonly redisUrl: string;
  readonly stream: string;
}

async function relay(job: FloorJob): Promise<void> {
  const redis = await openBareRedis(job.redisUrl);
  const writer = new XaddWriter(redis, job.stream);
  const postgres = await readSlot(job, {
    insert: (bytes, start, end) => writer.add(bytes, start + TUPLE, end),
    chunkEnd: () => {
      if (!writer.flush()) postgres.pause();
    },
  });
  redis.on('drain', () => postgres.resume());
  let isAtLineStart = true;
  redis.on('data', (reply: Buffer) => {
    // A dash elsewhere is part of an entry's ID, wherever a read happens to be cut.
    if ((isAtLineStart && reply[0] === MINUS) || reply.includes('\r\n-')) {
      throw new Error(`Redis says: ${reply.toString('latin1', 0, ERROR_BYTES_MAX)}`);
    }
    isAtLineStart = reply.at(-1) === LINE_FEED;
  });
}

/** Commands side by side in one buffer: one write for all that one read brought. */
class XaddWriter {
  readonly #socket: Socket;
  readonly #head: Buffer;
  #buffer = Buffer.allocUnsafe(64 * 1024);
  #used = 0;

  constructor(socket: Socket, stream: string) {
    this.#socket = socket;
    this.#head = xaddHead(stream);
  }

  add(bytes: Buffer, start: number, end: number): void {
    const needed = this.#used + this.#head.length + (end - start) + LENGTH_BYTES_MAX;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(needed * 2);
      this.#buffer.copy(larger, 0, 0, this.#used);
      this.#buffer = larger;
    }
    this.#used += this.#head.copy(this.#buffer, this.#used);
    this.#used += this.#buffer.write(`${end - start}\r\n`, this.#used, 'latin1');
    this.#used += bytes.copy(this.#buffer, this.#used, start, end);
    this.#used += this.#buffer.write('\r\n', this.#used, 'latin1');
  }

  /** False: Redis is behind; wait for `drain`. */
  flush(): boolean {
    if (this.#used === 0) return true;
    this.#socket.write(Buffer.from(this.#buffer.subarray(0, this.#used)));
    this.#used = 0;
    return this.#socket.writableLength < WAITING_BYTES_MAX;
  }
}

/** 'I', the relation's OID, 'N', the number of columns. */
const TUPLE = 8;
const LENGTH_BYTES_MAX = 16;
const WAITING_BYTES_MAX = 1024 * 1024;
const ERROR_BYTES_MAX = 300;
const MINUS = 0x2d;
const LINE_FEED = 0x0a;
