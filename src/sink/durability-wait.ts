import { type Durability, formatDurability } from '../core/durability.ts';
import type { ErrorCode } from '../core/error-codes.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { RedisConnection } from './redis-connection.ts';
import { unknownReply } from './redis-reply.ts';

/**
 * Waits until what a connection has written is durable. WAIT and WAITAOF count the writes of their own connection only,
 * and Redis keeps its log and its replicas in order: so the note of the floor, written after the entries it speaks of,
 * is waited for, and with it everything before. A short count is waited for again; nothing is ever written again.
 */
export class DurabilityWait {
  readonly #durability: Durability;
  readonly #stepMs: number;
  readonly #short: (text: string) => void;

  /** `short` hears of a count that was short after a step, each time. */
  constructor(durability: Durability, timeoutMs: number, short: (text: string) => void) {
    this.#durability = durability;
    // The server gives up before the connection's own deadline would: a missing replica is no dead link.
    this.#stepMs = Math.max(1, Math.min(STEP_MS_MAX, Math.floor(timeoutMs / 2)));
    this.#short = short;
  }

  get isNeeded(): boolean {
    return this.#durability.level !== 'reply';
  }

  async wait(waiter: RedisConnection): Promise<void> {
    const durability = this.#durability;
    while (durability.level !== 'reply') {
      if (durability.level === 'fsync') {
        const reply = await waiter.command('waiting for the disk', 'WAITAOF', 1, 0, this.#stepMs);
        const [local] = readCounts(reply, 2);
        if (local === 1) return;
        this.#short(`Redis has not written to its disk for ${this.#stepMs} ms`);
      } else {
        const reply = await waiter.command('waiting for replicas', 'WAIT', durability.replicas, this.#stepMs);
        const [replicas] = readCounts([reply], 1);
        if ((replicas as number) >= durability.replicas) return;
        this.#short(`${replicas} of ${durability.replicas} replicas have answered within ${this.#stepMs} ms`);
      }
    }
  }

  /** Whether the server can promise the level at all. Throws REDIS_DURABILITY when it can't. */
  async probe(redis: Pick<RedisConnection, 'command'>): Promise<void> {
    if (this.#durability.level !== 'fsync') return;
    try {
      await redis.command('WAITAOF', 'WAITAOF', 0, 0, 1);
      // Refused outright without an append-only file.
      await redis.command('WAITAOF', 'WAITAOF', 1, 0, 1);
    } catch (error) {
      if (!(error instanceof WalrelayError) || !ABOUT_WAITAOF.includes(error.code)) throw error;
      throw new WalrelayError(
        'REDIS_DURABILITY',
        `Redis can't promise the durability ${formatDurability(this.#durability)}: ${error.message}`,
        { cause: error },
      );
    }
  }
}

const STEP_MS_MAX = 1000;
/** An unknown command, no append-only file. A password or a right that is wanting has a name, and a fix, of its own. */
const ABOUT_WAITAOF: readonly ErrorCode[] = ['REDIS_REFUSED', 'REDIS_VOLATILE'];

function readCounts(reply: unknown, length: number): number[] {
  if (Array.isArray(reply) && reply.length === length && reply.every((count) => Number.isInteger(count)))
    return reply as number[];
  throw unknownReply('a wait');
}
