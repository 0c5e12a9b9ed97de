/**
 * Turns the text of a bytea (`\\x`, then two digits a byte) into its bytes, in the place where it stands: they are fewer.
 * Returns how many there are, or −1 when it is no such text.
 */
export function decodeHexInPlace(bytes: Buffer, start: number, length: number): number {
  if (length < 2 || length % 2 !== 0 || bytes[start] !== BACKSLASH || bytes[start + 1] !== LETTER_X)
    return -1;
  const end = start + length;
  let to = start;
  for (let from = start + 2; from < end; from += 2) {
    const high = DIGIT[bytes[from] as number] as number;
    const low = DIGIT[bytes[from + 1] as number] as number;
    if ((high | low) < 0) return -1;
    bytes[to] = (high << 4) | low;
    to += 1;
  }
  return to - start;
}

const BACKSLASH = 0x5c;
const LETTER_X = 0x78;

/** The value of a hexadecimal digit; −1 for any other byte. */
const DIGIT = new Int8Array(256).fill(-1);
for (let digit = 0; digit < 16; digit += 1) {
  DIGIT[digit.toString(16).charCodeAt(0)] = digit;
  DIGIT[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}
