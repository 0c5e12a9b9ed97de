import { parseLsn } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import { DeadLetterReader } from '../sink/dead-letter-reader.ts';
import type { RedisConnection } from '../sink/redis-connection.ts';

/**
 * Hands the newest dead letters of a stream over, whoever wrote them: a relay that is started again and again has one limit
 * and not many. Throws DEAD_LETTER_REFUSED when the key is no stream.
 */
export async function readRecentLetters(
  redis: RedisConnection,
  stream: string,
  range: { readonly sinceMs: number; readonly max: number },
  take: (position: Position, atMs: number) => void,
): Promise<void> {
  let count = 0;
  try {
    for await (const heads of new DeadLetterReader(redis, stream).heads(String(Math.max(0, range.sinceMs)))) {
      for (const { lsn, seq, entryId } of heads) {
        take({ commitLsn: parseLsn(lsn), ordinal: Number(seq) }, Number(entryId.split('-')[0]));
      }
      count += heads.length;
      if (count >= range.max) return;
    }
  } catch (thrown) {
    const error = toWalrelayError(thrown);
    if (error.code !== 'REDIS_KEY_TYPE') throw error;
    throw new WalrelayError('DEAD_LETTER_REFUSED', `the key ${stream}, where dead letters go, is no stream`, {
      cause: error,
      facts: { stream },
    });
  }
}
