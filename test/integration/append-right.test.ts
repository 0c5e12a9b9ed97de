import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { redisFlavour } from '../../dev/servers/redis-flavour.ts';
import { startRedis } from '../../dev/servers/redis.ts';
import { parseLsn } from '../../src/core/lsn.ts';
import { ORIGIN, positionToHex } from '../../src/core/position.ts';
import { Batch } from '../../src/sink/batch.ts';
import { TransactionStamp } from '../../src/sink/transaction-stamp.ts';
import { NATIVE_APPENDING, NATIVE_SHAPES } from '../support/native-outbox.ts';

const STREAM = 'outbox.order';
const LANE = 'lane';

test.for(['own', 'redis-6.2', 'valkey-8', 'redis-8'] as const)(
  'a user that may append but not move the watermark appends nothing: it would stand twice later (%s)',
  async (flavour, { skip }) => {
    const binary = flavour === 'own' ? undefined : await redisFlavour(flavour);
    if (binary !== undefined && 'missing' in binary) return skip(binary.missing);
    await using server = await startRedis({ ...(binary && { binary }) });
    const redis = new Redis(server.url, { protocol: 2 });
    try {
      await redis.hset(LANE, { epoch: 1, fence: 1, watermark: positionToHex(ORIGIN) });
      await redis.call('ACL', 'SETUSER', 'default', '-hset');
      await expect(append(redis)).rejects.toThrow(/NOPERM.*hset|can't run this command/);
      expect(await redis.xlen(STREAM)).toBe(0);

      await redis.call('ACL', 'SETUSER', 'default', '+hset');
      expect(await append(redis)).toEqual([2, 0]);
      expect(await append(redis)).toEqual([0, 2]);
      expect(await redis.xlen(STREAM)).toBe(2);
    } finally {
      redis.disconnect();
    }
  },
);

/** The same two events each time. */
async function append(redis: Redis): Promise<unknown> {
  const stamp = new TransactionStamp();
  stamp.set(parseLsn('0/100'), 0n);
  const batch = new Batch(1, ORIGIN, Buffer.alloc(4096), NATIVE_SHAPES);
  const stream = { name: STREAM, shape: 0, batchSeq: -1, keyIndex: -1 };
  const bytes = Buffer.from('value');
  const starts = new Int32Array(5);
  const lengths = new Int32Array(5).fill(bytes.length);
  for (let ordinal = 0; ordinal < 2; ordinal += 1)
    batch.append(stream, stamp, ordinal, bytes, starts, lengths);
  const { previous, last, count, packed } = batch.seal();
  return await redis.eval(
    NATIVE_APPENDING.script.text,
    2,
    LANE,
    STREAM,
    '1',
    '1',
    previous,
    last,
    count,
    packed,
  );
}
