/**
 * Turns the inside of a JSON string (checked, without its quotes) into the UTF-8 that it means, in the place where it stands:
 * no escape is shorter than what it stands for. Returns how many bytes there are. Not for a text with half of a surrogate pair.
 */
export function decodeJsonTextInPlace(bytes: Buffer, start: number, end: number): number {
  let to = start;
  let from = start;
  while (from < end) {
    const byte = bytes[from] as number;
    if (byte !== BACKSLASH) {
      bytes[to] = byte;
      to += 1;
      from += 1;
      continue;
    }
    const letter = bytes[from + 1] as number;
    if (letter !== LETTER_U) {
      bytes[to] = MEANING[letter] as number;
      to += 1;
      from += 2;
      continue;
    }
    let code = readHex4(bytes, from + 2);
    from += 6;
    if (code >= 0xd800 && code <= 0xdbff) {
      code = 0x10000 + ((code - 0xd800) << 10) + (readHex4(bytes, from + 2) - 0xdc00);
      from += 6;
    }
    to = writeUtf8(bytes, to, code);
  }
  return to - start;
}

/** Whether the inside of a JSON string (checked) names half of a surrogate pair alone: JSON can say that, and UTF-8 can't. */
export function hasLoneSurrogate(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    if (bytes[at] !== BACKSLASH) {
      at += 1;
      continue;
    }
    if (bytes[at + 1] !== LETTER_U) {
      at += 2;
      continue;
    }
    const code = readHex4(bytes, at + 2);
    at += 6;
    if (code < 0xd800 || code > 0xdfff) continue;
    if (code >= 0xdc00 || at + 6 > end || bytes[at] !== BACKSLASH || bytes[at + 1] !== LETTER_U) return true;
    const low = readHex4(bytes, at + 2);
    if (low < 0xdc00 || low > 0xdfff) return true;
    at += 6;
  }
  return false;
}

function readHex4(bytes: Buffer, at: number): number {
  let code = 0;
  for (let index = at; index < at + 4; index += 1) {
    const digit = bytes[index] as number;
    code = (code << 4) | (digit <= NINE ? digit - ZERO : (digit | 0x20) - 0x61 + 10);
  }
  return code;
}

function writeUtf8(bytes: Buffer, at: number, code: number): number {
  if (code < 0x80) {
    bytes[at] = code;
    return at + 1;
  }
  if (code < 0x800) {
    bytes[at] = 0xc0 | (code >> 6);
    bytes[at + 1] = 0x80 | (code & 0x3f);
    return at + 2;
  }
  if (code < 0x10000) {
    bytes[at] = 0xe0 | (code >> 12);
    bytes[at + 1] = 0x80 | ((code >> 6) & 0x3f);
    bytes[at + 2] = 0x80 | (code & 0x3f);
    return at + 3;
  }
  bytes[at] = 0xf0 | (code >> 18);
  bytes[at + 1] = 0x80 | ((code >> 12) & 0x3f);
  bytes[at + 2] = 0x80 | ((code >> 6) & 0x3f);
  bytes[at + 3] = 0x80 | (code & 0x3f);
  return at + 4;
}

const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const ZERO = 0x30;
const NINE = 0x39;
/** By the letter behind the backslash: quote, backslash and slash mean themselves. */
const MEANING = Uint8Array.from({ length: 128 }, (_, letter) => letter);
for (const [letter, meaning] of [
  ['b', 0x08],
  ['f', 0x0c],
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
] as const) {
  MEANING[letter.charCodeAt(0)] = meaning;
}
