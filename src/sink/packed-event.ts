import { KEYS_PER_CODE, type PackedShape, type PackedShapes } from './packed-shapes.ts';

/** What names an event to an operator. Never its payload. */
export interface EventName {
  readonly stream: string;
  readonly id: string;
  readonly lsn: string;
  readonly seq: string;
  /** It could not pass before, and is on its way to the dead letters. */
  readonly isDeadLetter: boolean;
}

/** Reads one event back out of a sealed batch, to name it in an error. Slow, and only ever used for that. */
export function describePackedEvent(
  packed: Buffer,
  index: number,
  keys: readonly string[],
  shapes: PackedShapes,
): EventName {
  const { values, code, shape } = readPackedEvent(packed, index, shapes, NAME_BYTES_MAX);
  const idValue = shape?.idValue ?? -1;
  const id = idValue === -1 ? '(not in the entry)' : (values[shapes.headValues + idValue] ?? '(NULL)');
  return {
    // KEYS[1] is the lane and Lua counts from 1.
    stream: keys[(code % KEYS_PER_CODE) - 2] ?? '?',
    id: String(id).slice(0, 100),
    lsn: String(values[1]),
    seq: String(values[2]),
    isDeadLetter: shape?.isLoose ?? false,
  };
}

/** All of one event's values, as text; those that are longer are cut. Slow too. */
export function readPackedEvent(
  packed: Buffer,
  index: number,
  { shapes, stride }: PackedShapes,
  valueBytesMax = Number.POSITIVE_INFINITY,
): {
  readonly values: readonly (string | number | null)[];
  readonly code: number;
  readonly shape: PackedShape | undefined;
} {
  const values: (string | number | null)[] = [];
  let offset = 5;
  for (let skip = index * stride; skip > 0; skip -= 1) offset = readValue(packed, offset, 0).next;
  for (let count = 0; count < stride; count += 1) {
    const { value, next } = readValue(packed, offset, valueBytesMax);
    values.push(value);
    offset = next;
  }
  const code = Math.abs(Number(values[0]));
  return { values, code, shape: shapes[Math.floor(code / KEYS_PER_CODE)] };
}

const NAME_BYTES_MAX = 256;

/** One value of the subset of MessagePack that a batch is made of. */
function readValue(
  bytes: Buffer,
  offset: number,
  bytesMax: number,
): { value: string | number | null; next: number } {
  const kind = bytes[offset] as number;
  if (kind === 0xc0) return { value: null, next: offset + 1 };
  if (kind === 0xd2) return { value: bytes.readInt32BE(offset + 1), next: offset + 5 };
  if (kind === 0xd1) return { value: bytes.readInt16BE(offset + 1), next: offset + 3 };
  let start = offset + 1;
  let length = kind & 0x1f;
  if (kind === 0xda) {
    length = bytes.readUInt16BE(start);
    start += 2;
  } else if (kind === 0xdb) {
    length = bytes.readUInt32BE(start);
    start += 4;
  }
  return { value: bytes.toString('utf8', start, start + Math.min(length, bytesMax)), next: start + length };
}
