import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CopyDataReader } from '../../../src/source/copy-data-reader.ts';
import { loadRecording } from '../recording.ts';
import { thrownCode } from '../thrown-code.ts';

const LIMIT = 1024 * 1024;

/** A frame as text: its type and its content. CopyData are told from others by how they were handed over. */
class CollectedFrames {
  readonly frames: string[] = [];
  readonly reader: CopyDataReader;

  constructor(limit = LIMIT) {
    this.reader = new CopyDataReader(
      {
        copyData: (bytes, start, end) => this.frames.push(`copyData:${bytes.toString('base64', start, end)}`),
        other: (bytes) => this.frames.push(`other:${bytes.toString('base64')}`),
      },
      limit,
    );
  }
}

function frame(type: string, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([header(type, bytes.length + 4), bytes]);
}

function header(type: string, length: number): Buffer {
  const bytes = Buffer.alloc(5, type);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

function readIn(chunks: readonly Buffer[]): string[] {
  const collected = new CollectedFrames();
  for (const chunk of chunks) collected.reader.push(chunk);
  expect(collected.reader.heldBytes).toBe(0);
  return collected.frames;
}

/** Cut at the given places, each of them a copy of its own, as reads of a socket are. */
function cut(stream: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...[...places].sort((a, b) => a - b), stream.length];
  return sorted.slice(1).map((end, index) => Buffer.from(stream.subarray(sorted[index], end)));
}

const SHORT = [
  frame('d', 'k'),
  frame('c', ''),
  frame('d', ''),
  frame('N', 'a notice'),
  frame('d', 'with a dddd inside'),
  frame('d', 'end'),
];
const SHORT_READ = [
  `copyData:${Buffer.from('k').toString('base64')}`,
  `other:${SHORT[1]!.toString('base64')}`,
  'copyData:',
  `other:${SHORT[3]!.toString('base64')}`,
  `copyData:${Buffer.from('with a dddd inside').toString('base64')}`,
  `copyData:${Buffer.from('end').toString('base64')}`,
];

const recording = loadRecording(17);
const recordedFrames = recording.frames.flatMap((content, index) => [
  frame('d', content),
  ...(index % 7 === 0 ? [frame('S', `parameter\0${index}\0`)] : []),
  ...(index % 11 === 0 ? [frame('N', Buffer.alloc(index, 'd'))] : []),
]);
const RECORDED = Buffer.concat(recordedFrames);
const RECORDED_READ = recordedFrames.map((bytes) =>
  bytes[0] === 0x64
    ? `copyData:${bytes.subarray(5).toString('base64')}`
    : `other:${bytes.toString('base64')}`,
);

describe('a stream of frames', () => {
  test('is read the same whether it comes at once or byte by byte', () => {
    const stream = Buffer.concat(SHORT);
    expect(readIn([stream])).toEqual(SHORT_READ);
    expect(readIn(Array.from(stream, (byte) => Buffer.from([byte])))).toEqual(SHORT_READ);
  });

  test('is read the same in two reads, wherever the cut is', () => {
    const stream = Buffer.concat(SHORT);
    for (let at = 0; at <= stream.length; at += 1) expect(readIn(cut(stream, [at]))).toEqual(SHORT_READ);
  });

  test('is read the same in three reads, wherever the two cuts are', () => {
    const stream = Buffer.concat(SHORT);
    for (let first = 0; first <= stream.length; first += 1) {
      for (let second = first; second <= stream.length; second += 1) {
        expect(readIn(cut(stream, [first, second]))).toEqual(SHORT_READ);
      }
    }
  });

  test('recorded from a server is read the same at once, byte by byte, and in reads of any fixed size', () => {
    expect(readIn([RECORDED])).toEqual(RECORDED_READ);
    for (const size of [1, 7, 4096]) {
      const places = Array.from({ length: Math.ceil(RECORDED.length / size) }, (_, index) => index * size);
      expect(readIn(cut(RECORDED, places))).toEqual(RECORDED_READ);
    }
  });

  test('recorded from a server is read the same, whatever the cuts', () => {
    const places = fc.array(fc.nat(RECORDED.length), { maxLength: 400, size: 'max' });
    fc.assert(
      fc.property(places, (cuts) => {
        expect(readIn(cut(RECORDED, cuts))).toEqual(RECORDED_READ);
      }),
      { numRuns: 15 },
    );
  });

  test('of any frames is read the same, whatever the cuts', () => {
    const anyFrame = fc
      .tuple(
        fc.constantFrom('d', 'd', 'd', 'N', 'S', 'c', 'E', '\0', '\xff'),
        fc.uint8Array({ maxLength: 40, size: 'max' }),
      )
      .map(([type, content]) => Buffer.concat([header(type, content.length + 4), content]));
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 12, size: 'max' }),
        fc.array(fc.nat(600), { maxLength: 60, size: 'max' }),
        (frames, cuts) => {
          const stream = Buffer.concat(frames);
          const read = frames.map((bytes) =>
            bytes[0] === 0x64
              ? `copyData:${bytes.subarray(5).toString('base64')}`
              : `other:${bytes.toString('base64')}`,
          );
          expect(
            readIn(
              cut(
                stream,
                cuts.map((at) => at % (stream.length + 1)),
              ),
            ),
          ).toEqual(read);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('a CopyData that lies whole within a read', () => {
  test('is handed over in place, without a copy', () => {
    const chunk = Buffer.concat([frame('d', 'one'), frame('d', 'two')]);
    const seen: Buffer[] = [];
    const reader = new CopyDataReader({ copyData: (bytes) => seen.push(bytes), other: () => {} }, LIMIT);
    reader.push(chunk);
    expect(seen).toHaveLength(2);
    for (const bytes of seen) expect(bytes).toBe(chunk);
  });
});

describe('a frame that has not arrived whole', () => {
  test('is held once, with its whole length, and let go', () => {
    const { reader } = new CollectedFrames();
    const bytes = frame('d', Buffer.alloc(1000));
    reader.push(bytes.subarray(0, 400));
    expect(reader.heldBytes).toBe(1005);
    reader.push(bytes.subarray(400, 700));
    expect(reader.heldBytes).toBe(1005);
    reader.push(bytes.subarray(700));
    expect(reader.heldBytes).toBe(0);
  });

  test('costs five bytes as long as its length is not known', () => {
    const { reader } = new CollectedFrames();
    reader.push(Buffer.from('d'));
    expect(reader.heldBytes).toBe(5);
    reader.push(Buffer.alloc(0));
    expect(reader.heldBytes).toBe(5);
  });
});

describe('a row above the limit', () => {
  test.each([LIMIT + 1, 0x4000_0000, 0x7fff_ffff])(
    'of %i bytes is refused on its header, and nothing of it is held',
    (length) => {
      for (const chunks of [
        [header('d', length)],
        Array.from(header('d', length), (byte) => Buffer.from([byte])),
      ]) {
        const { reader, frames } = new CollectedFrames();
        expect(thrownCode(() => chunks.forEach((chunk) => reader.push(chunk)))).toBe('EVENT_TOO_LARGE');
        expect(reader.heldBytes).toBeLessThanOrEqual(5);
        expect(frames).toEqual([]);
      }
    },
  );

  test('is refused behind what stood before it, which is handed over', () => {
    const { reader, frames } = new CollectedFrames();
    const chunk = Buffer.concat([frame('d', 'k'), header('d', LIMIT + 1)]);
    expect(thrownCode(() => reader.push(chunk))).toBe('EVENT_TOO_LARGE');
    expect(frames).toHaveLength(1);
  });

  test('is a row that is larger, not one that just fits', () => {
    const fits = new CollectedFrames(100);
    fits.reader.push(frame('d', Buffer.alloc(96)));
    expect(fits.frames).toHaveLength(1);
    expect(thrownCode(() => fits.reader.push(frame('d', Buffer.alloc(97))))).toBe('EVENT_TOO_LARGE');
  });
});

describe('a row above the limit that nobody wants', () => {
  const large = (content: string) => frame('d', content.padEnd(300, '.'));
  const stream = Buffer.concat([
    frame('d', 'a'),
    large('foreign'),
    large('foreign'),
    frame('N', 'n'),
    frame('d', 'b'),
    large('foreign'),
    frame('d', 'c'),
  ]);

  function readLarge(chunks: readonly Buffer[]): { readonly seen: string[]; readonly heldMax: number } {
    const seen: string[] = [];
    let heldMax = 0;
    const handler = {
      copyData: (bytes: Buffer, start: number, end: number) =>
        seen.push(bytes.toString('latin1', start, end)),
      other: (bytes: Buffer) => seen.push(bytes.toString('latin1', 5)),
      large: {
        headBytes: 7,
        isUnwanted: (bytes: Buffer, start: number, end: number) =>
          bytes.toString('latin1', start, end) === 'foreign',
      },
    };
    const reader = new CopyDataReader(handler, 100);
    for (const chunk of chunks) {
      reader.push(chunk);
      heldMax = Math.max(heldMax, reader.heldBytes);
    }
    return { seen, heldMax };
  }

  test('is passed over without being held, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 40 }), (places) => {
        const { seen, heldMax } = readLarge(cut(stream, places));
        expect(seen).toEqual(['a', 'n', 'b', 'c']);
        expect(heldMax).toBeLessThanOrEqual(12);
      }),
      { numRuns: 500 },
    );
    expect(readLarge(Array.from(stream, (byte) => Buffer.from([byte]))).seen).toEqual(['a', 'n', 'b', 'c']);
  });

  test('is no excuse for one that somebody wants', () => {
    const chunk = Buffer.concat([large('foreign'), large('wanted!'), frame('d', 'x')]);
    expect(thrownCode(() => readLarge([chunk]))).toBe('EVENT_TOO_LARGE');
    expect(thrownCode(() => readLarge(Array.from(chunk, (byte) => Buffer.from([byte]))))).toBe(
      'EVENT_TOO_LARGE',
    );
  });
});

describe('a length that no frame has', () => {
  test.each([0, 1, 2, 3, 0x8000_0000, 0xffff_ffff])('%i is refused for every type', (length) => {
    for (const type of ['d', 'N', 'E', 'c']) {
      const { reader, frames } = new CollectedFrames();
      expect(thrownCode(() => reader.push(header(type, length)))).toBe('PG_PROTOCOL');
      const slow = new CollectedFrames();
      const bytes = Array.from(header(type, length), (byte) => Buffer.from([byte]));
      expect(thrownCode(() => bytes.forEach((byte) => slow.reader.push(byte)))).toBe('PG_PROTOCOL');
      expect([...frames, ...slow.frames]).toEqual([]);
    }
  });

  test('is one that would make the reader hold gigabytes for a notice', () => {
    const { reader } = new CollectedFrames();
    expect(thrownCode(() => reader.push(header('N', 0x7fff_ffff)))).toBe('PG_PROTOCOL');
    expect(reader.heldBytes).toBe(0);
  });
});

describe('after a refusal', () => {
  test('nothing more is handed over: the place in the stream is lost', () => {
    const { reader, frames } = new CollectedFrames();
    expect(thrownCode(() => reader.push(header('d', LIMIT + 1)))).toBe('EVENT_TOO_LARGE');
    reader.push(frame('d', 'k'));
    reader.push(frame('E', 'x'));
    expect(frames).toEqual([]);
  });

  test('by the decoder, in the middle of a read, nothing more is handed over either', () => {
    let count = 0;
    const reader = new CopyDataReader(
      {
        copyData: () => {
          count += 1;
          throw new TypeError('refused');
        },
        other: () => (count += 1),
      },
      LIMIT,
    );
    expect(() =>
      reader.push(Buffer.concat([frame('d', 'a'), frame('d', 'b'), frame('E', '').subarray(0, 2)])),
    ).toThrow('refused');
    reader.push(frame('d', 'c'));
    expect(count).toBe(1);
  });
});
