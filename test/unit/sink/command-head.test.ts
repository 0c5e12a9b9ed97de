import { Command } from 'ioredis';
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { ORIGIN } from '../../../src/core/position.ts';
import { Batch } from '../../../src/sink/batch.ts';
import { encodeCommandHead } from '../../../src/sink/command-head.ts';
import { NATIVE_SHAPES } from '../../support/native-outbox.ts';
import { TransactionStamp } from '../../../src/sink/transaction-stamp.ts';

function batchOfOne(): Batch {
  const batch = new Batch(1, ORIGIN, Buffer.alloc(4096), NATIVE_SHAPES);
  const stamp = new TransactionStamp();
  stamp.set(toLsn(100n), 7n);
  const row = Buffer.from('1madeordero-1{}');
  batch.append(
    { name: 's', shape: 0, batchSeq: -1, keyIndex: -1 },
    stamp,
    0,
    row,
    Int32Array.of(0, 1, 5, 10, 13),
    Int32Array.of(1, 4, 5, 3, 2),
  );
  return batch;
}

test.each([
  ['a few keys', ['EVALSHA', 'sha', '2', 'lane', 'outbox.bestellung-ü', '1']],
  [
    'more keys than there is room for',
    ['EVALSHA', 'sha', ...Array.from({ length: 300 }, (_, index) => `stream-${index}`)],
  ],
])('a batch with a head of %s is the command that ioredis would write', (_, args) => {
  const batch = batchOfOne();
  const packed = Buffer.from(batch.seal().packed);
  const [name, ...rest] = args;
  const expected = new Command(name as string, [...rest, packed]).toWritable({});
  expect(batch.frame(encodeCommandHead(args, packed.length)).equals(Buffer.from(expected as Buffer))).toBe(
    true,
  );
  expect(batch.seal().packed.equals(packed)).toBe(true);
});
