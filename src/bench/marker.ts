import { MARKER_START } from './contestant.ts';

/** Where an event comes from and when: what its payload says. Times are microseconds of the shared monotonic clock. */
export interface Marker {
  readonly producer: number;
  readonly number: number;
  readonly intendedUs: number;
  readonly sentUs: number;
}

export function formatMarker({ producer, number, intendedUs, sentUs }: Marker): string {
  return `${MARKER_START}${producer}~${number}~${intendedUs}~${sentUs}~`;
}

/** The marker within `bytes`, whatever is around it; undefined when there is none or it is cut off. */
export function findMarker(bytes: Buffer): Marker | undefined {
  const start = bytes.indexOf(MARKER_START);
  if (start === -1) return undefined;
  let offset = start + MARKER_START.length;
  const values: number[] = [];
  while (values.length < FIELDS) {
    let value = 0;
    let digits = 0;
    for (;;) {
      const byte = bytes[offset];
      if (byte === TILDE) break;
      if (byte === undefined || byte < ZERO || byte > NINE || digits === DIGITS_MAX) return undefined;
      value = value * 10 + (byte - ZERO);
      digits += 1;
      offset += 1;
    }
    if (digits === 0) return undefined;
    values.push(value);
    offset += 1;
  }
  const [producer, number, intendedUs, sentUs] = values as [number, number, number, number];
  return { producer, number, intendedUs, sentUs };
}

/** An entry's fields and values as a client library gives them: the first of them that holds a marker. */
export function markerOfFields(fields: readonly Buffer[]): Marker | undefined {
  for (const field of fields) {
    if (field.length < LENGTH_MIN) continue;
    const marker = findMarker(field);
    if (marker !== undefined) return marker;
  }
  return undefined;
}

const FIELDS = 4;
/** Below 2^53, whatever the digits are. */
const DIGITS_MAX = 15;
const LENGTH_MIN = MARKER_START.length + 2 * FIELDS;
const TILDE = 0x7e;
const ZERO = 0x30;
const NINE = 0x39;
