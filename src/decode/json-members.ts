/**
 * Walks through the members of a JSON object, in UTF-8, and tells where the bytes of each key and value stand. Nothing is
 * parsed into JavaScript values: a number beyond 2^53, the order of keys and white space stay what they are. All of it is
 * checked on the way, also what is nested (RFC 8259): a value that is handed on raw can't break what it is put into.
 *
 * `next` returns false at the end of the object; after a fault it returns false too, and `faultAt` says where.
 */
export class JsonMembers {
  /** Between the quotes. */
  keyStart = 0;
  keyEnd = 0;
  isKeyEscaped = false;
  /** A text without its quotes, anything else as it stands. */
  valueStart = 0;
  valueEnd = 0;
  valueKind: JsonKind = 'null';
  /** Of a text: it has backslashes. */
  isValueEscaped = false;
  /** Where it stopped being JSON; −1 while it has not. */
  faultAt = -1;

  #bytes: Buffer = EMPTY;
  #at = 0;
  #end = 0;
  #isFirst = true;
  #isTextEscaped = false;
  /** Of each container around a nested value: whether it is an object. Grows with the depth. */
  #containers = new Uint8Array(64);

  /** Before the first `next`: `bytes[start, end)` is all there is. */
  begin(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#isFirst = true;
    this.faultAt = -1;
    // One that was very deep gives its memory back.
    if (this.#containers.length > CONTAINERS_KEPT) this.#containers = new Uint8Array(64);
  }

  next(): boolean {
    if (this.#isFirst) {
      this.#isFirst = false;
      if (this.#peek() !== OPEN_BRACE) return this.#fail();
      this.#at += 1;
      if (this.#peek() === CLOSE_BRACE) return this.#close();
    } else {
      const byte = this.#peek();
      if (byte === CLOSE_BRACE) return this.#close();
      if (byte !== COMMA) return this.#fail();
      this.#at += 1;
    }
    if (!this.#key()) return false;
    return this.#member();
  }

  #close(): false {
    this.#at += 1;
    // Nothing may come behind the object.
    if (this.#peek() !== NOTHING) this.#fail();
    return false;
  }

  #member(): boolean {
    const byte = this.#peek();
    const start = this.#at;
    if (byte === QUOTE) {
      if (!this.#text()) return false;
      this.valueKind = 'text';
      this.valueStart = start + 1;
      this.valueEnd = this.#at - 1;
      this.isValueEscaped = this.#isTextEscaped;
      return true;
    }
    if (!this.#value()) return false;
    this.valueKind =
      byte === LETTER_N ? 'null' : byte === OPEN_BRACE || byte === OPEN_BRACKET ? 'container' : 'plain';
    this.valueStart = start;
    this.valueEnd = this.#at;
    return true;
  }

  #key(): boolean {
    if (this.#peek() !== QUOTE) return this.#fail();
    const start = this.#at + 1;
    if (!this.#text()) return false;
    this.keyStart = start;
    this.keyEnd = this.#at - 1;
    this.isKeyEscaped = this.#isTextEscaped;
    return this.#colon();
  }

  #colon(): boolean {
    if (this.#peek() !== COLON) return this.#fail();
    this.#at += 1;
    return true;
  }

  /** Any value, with all that is nested in it. Without recursion: how deep it is, is the sender's choice. */
  #value(): boolean {
    let depth = 0;
    for (;;) {
      const byte = this.#peek();
      let isWhole = true;
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        const isObject = byte === OPEN_BRACE;
        this.#at += 1;
        if (this.#peek() === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) this.#at += 1;
        else {
          if (depth === this.#containers.length) this.#grow();
          this.#containers[depth] = isObject ? 1 : 0;
          depth += 1;
          if (isObject && !this.#nestedKey()) return false;
          isWhole = false;
        }
      } else if (byte === QUOTE) {
        if (!this.#text()) return false;
      } else if (!this.#plain(byte)) return false;
      if (!isWhole) continue;
      for (;;) {
        if (depth === 0) return true;
        const isObject = this.#containers[depth - 1] === 1;
        const after = this.#peek();
        if (after === COMMA) {
          this.#at += 1;
          if (isObject && !this.#nestedKey()) return false;
          break;
        }
        if (after !== (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) return this.#fail();
        this.#at += 1;
        depth -= 1;
      }
    }
  }

  #nestedKey(): boolean {
    if (this.#peek() !== QUOTE) return this.#fail();
    return this.#text() && this.#colon();
  }

  #plain(byte: number): boolean {
    switch (byte) {
      case LETTER_T:
        return this.#word(TRUE);
      case LETTER_F:
        return this.#word(FALSE);
      case LETTER_N:
        return this.#word(NULL);
      default:
        return this.#number();
    }
  }

  #word(word: Buffer): boolean {
    for (let index = 0; index < word.length; index += 1) {
      if (this.#at >= this.#end || this.#bytes[this.#at] !== word[index]) return this.#fail();
      this.#at += 1;
    }
    return true;
  }

  #number(): boolean {
    if (this.#byte() === MINUS) this.#at += 1;
    if (this.#byte() === ZERO) this.#at += 1;
    else if (!this.#digits()) return false;
    if (this.#byte() === DOT) {
      this.#at += 1;
      if (!this.#digits()) return false;
    }
    if ((this.#byte() | LOWER_CASE) !== LETTER_E) return true;
    this.#at += 1;
    const sign = this.#byte();
    if (sign === MINUS || sign === PLUS) this.#at += 1;
    return this.#digits();
  }

  #digits(): boolean {
    const from = this.#at;
    for (;;) {
      const byte = this.#byte();
      if (byte < ZERO || byte > NINE) break;
      this.#at += 1;
    }
    return this.#at > from || this.#fail();
  }

  /** From the opening quote to behind the closing one. */
  #text(): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    this.#isTextEscaped = false;
    let at = this.#at + 1;
    for (;;) {
      if (at >= end) return this.#failAt(at);
      const byte = bytes[at] as number;
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        this.#isTextEscaped = true;
        const size = escapeSize(bytes, at, end);
        if (size === 0) return this.#failAt(at);
        at += size;
      } else if (byte < 0x20) return this.#failAt(at);
      else if (byte < 0x80) at += 1;
      else {
        const size = sequenceSize(bytes, at, end);
        if (size === 0) return this.#failAt(at);
        at += size;
      }
    }
    this.#at = at + 1;
    return true;
  }

  /** The next byte that is no white space, still to be read; NOTHING at the end. */
  #peek(): number {
    for (;;) {
      const byte = this.#byte();
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.#at += 1;
    }
  }

  #byte(): number {
    return this.#at < this.#end ? (this.#bytes[this.#at] as number) : NOTHING;
  }

  #grow(): void {
    const larger = new Uint8Array(2 * this.#containers.length);
    larger.set(this.#containers);
    this.#containers = larger;
  }

  #fail(): false {
    return this.#failAt(this.#at);
  }

  #failAt(at: number): false {
    this.faultAt = at;
    return false;
  }
}

/** plain: a number, true or false · container: an object or an array */
export type JsonKind = 'text' | 'null' | 'plain' | 'container';

/** Bytes of the escape at a backslash; 0 when it is none. */
function escapeSize(bytes: Buffer, at: number, end: number): number {
  if (at + 1 >= end) return 0;
  const byte = bytes[at + 1] as number;
  if (byte !== LETTER_U) return ESCAPED.includes(byte) ? 2 : 0;
  if (at + 6 > end) return 0;
  for (let index = at + 2; index < at + 6; index += 1) {
    const digit = bytes[index] as number;
    const lower = digit | LOWER_CASE;
    if (!((digit >= ZERO && digit <= NINE) || (lower >= 0x61 && lower <= 0x66))) return 0;
  }
  return 6;
}

/** Bytes of the UTF-8 sequence that begins here; 0 when it is none (RFC 3629: shortest form, no surrogates). */
function sequenceSize(bytes: Buffer, at: number, end: number): number {
  const first = bytes[at] as number;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + size > end) return 0;
  const second = bytes[at + 1] as number;
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let index = at + 2; index < at + size; index += 1) {
    if (((bytes[index] as number) & 0xc0) !== 0x80) return 0;
  }
  return size;
}

const CONTAINERS_KEPT = 16 * 1024;
const EMPTY = Buffer.alloc(0);
const NOTHING = -1;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const LOWER_CASE = 0x20;
const LETTER_E = 0x65;
const LETTER_F = 0x66;
const LETTER_N = 0x6e;
const LETTER_T = 0x74;
const LETTER_U = 0x75;
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');
/** What may stand behind a backslash, beside u. */
const ESCAPED = Buffer.from('"\\/bfnrt');
