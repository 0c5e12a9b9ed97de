import { expect, test } from 'vitest';
import { hashTag } from '../../../src/sink/hash-slot.ts';
import { deadLetterStreamOf, packLetter } from '../../../src/sink/dead-letter.ts';
import { deadLetterStreams } from '../../../src/sink/dead-letter-streams.ts';
import { unpack } from './message-pack.ts';

test('names and values are packed in turn, byte for byte, however large', () => {
  const bytes = Buffer.concat([Buffer.from('before'), Buffer.alloc(100_000, 0xff), Buffer.from('behind')]);
  const packed = packLetter([
    ['reason', 'EVENT_NO_ROUTE'],
    ['column:größe', { bytes, start: 6, length: 100_000 }],
    ['column:empty', { bytes, start: 3, length: 0 }],
  ]);
  expect(unpack(packed)).toEqual([
    Buffer.from('reason'),
    Buffer.from('EVENT_NO_ROUTE'),
    Buffer.from('column:größe'),
    Buffer.alloc(100_000, 0xff),
    Buffer.from('column:empty'),
    Buffer.alloc(0),
  ]);
});

test('on a cluster a dead letter stands in the lane of the stream that it was for', () => {
  for (const stream of ['orders', 'shop.{a}', 'shop.{a}.{b}', 'größe']) {
    const key = deadLetterStreamOf('w:dead', stream, true);
    expect(hashTag(key)).toBe(hashTag(stream));
  }
  expect(deadLetterStreamOf('w:dead', 'shop.{a}', false)).toBe('w:dead');
  expect(deadLetterStreamOf('w:dead', null, true)).toBe('w:dead');
});

test('every stream of dead letters is found by the lanes', () => {
  const part = (tag: string) => ({ tag, key: `m:{${tag}}`, state: null, notedLsns: [] });
  expect(deadLetterStreams('w:dead', {})).toEqual(['w:dead']);
  expect(deadLetterStreams('w:dead', { parts: [part('a'), part('w:dead'), part('orders')] })).toEqual([
    'w:dead',
    'w:dead:{a}',
    'w:dead:{orders}',
  ]);
});
