import type { ValueKind } from '../core/entry-shape.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { decodeJsonTextInPlace, hasLoneSurrogate } from './decode-json-text.ts';
import { JsonMembers } from './json-members.ts';
import type { TuplePlan } from './outbox-columns.ts';

/** Which messages are events of an outbox that has no table, and which keys of their JSON the relay reads. */
export interface WantedMessages {
  /** The number of the outbox. */
  readonly outbox: number;
  /** What errors call it. */
  readonly name: string;
  readonly prefix: string;
  /** Keys of the JSON object by slot, each once. */
  readonly names: readonly string[];
  /** Slots of an event's id: a text or a number. */
  readonly idSlots: readonly number[];
  /** Slots whose key must be there, be it with null. */
  readonly presentSlots: readonly number[];
}

/** Reads the content of logical messages: finds the values of the mapped keys, as byte ranges of the content. */
export class MessageOutbox {
  readonly prefix: Buffer;
  /** `kinds` is that of the message that was read last. */
  readonly plan: TuplePlan;
  readonly #wanted: WantedMessages;
  readonly #keys: readonly Buffer[];
  readonly #kinds: ValueKind[];
  /** By slot, of the message that is being read. */
  readonly #isPresent: Uint8Array;
  readonly #isEscaped: Uint8Array;
  readonly #members = new JsonMembers();

  constructor(wanted: WantedMessages) {
    this.#wanted = wanted;
    this.prefix = Buffer.from(wanted.prefix);
    this.#keys = wanted.names.map((name) => Buffer.from(name));
    this.#kinds = wanted.names.map(() => 'text');
    this.#isPresent = new Uint8Array(wanted.names.length);
    this.#isEscaped = new Uint8Array(wanted.names.length);
    this.plan = {
      outbox: wanted.outbox,
      slotOfColumn: new Int16Array(0),
      byteaSlots: [],
      kinds: this.#kinds,
    };
  }

  /** Whether a prefix, `bytes[start, end)`, is that of its messages. */
  isOwn(bytes: Buffer, start: number, end: number): boolean {
    return isSame(this.prefix, bytes, start, end);
  }

  /**
   * Fills starts, lengths and the plan's kinds. A text becomes its UTF-8, in the content itself; anything else is the JSON as
   * it stands; null, or a key that is not there, is NULL. Of a key that is there twice, the last counts, as for jsonb.
   * Throws EVENT_MALFORMED, and has changed nothing in the content then.
   */
  read(bytes: Buffer, start: number, end: number, starts: Int32Array, lengths: Int32Array): void {
    const members = this.#members;
    const count = this.#keys.length;
    lengths.fill(-1, 0, count);
    this.#isPresent.fill(0);
    members.begin(bytes, start, end);
    while (members.next()) {
      const slot = this.#slotOfKey(bytes);
      if (slot === -1) continue;
      const { valueKind } = members;
      this.#isPresent[slot] = 1;
      this.#isEscaped[slot] = valueKind === 'text' && members.isValueEscaped ? 1 : 0;
      this.#kinds[slot] = valueKind === 'text' || valueKind === 'null' ? 'text' : 'json';
      starts[slot] = members.valueStart;
      lengths[slot] = valueKind === 'null' ? -1 : members.valueEnd - members.valueStart;
    }
    if (members.faultAt >= 0)
      throw this.#malformed(
        `is no JSON object: it stops being one at byte ${members.faultAt - start} of ${end - start}`,
      );
    this.#requireKeys(bytes, starts, lengths);
    this.#decodeTexts(bytes, starts, lengths);
  }

  #slotOfKey(bytes: Buffer): number {
    const { keyStart, keyEnd, isKeyEscaped } = this.#members;
    if (isKeyEscaped) {
      const key: unknown = JSON.parse(bytes.toString('utf8', keyStart - 1, keyEnd + 1));
      return this.#wanted.names.indexOf(String(key));
    }
    const keys = this.#keys;
    for (let slot = 0; slot < keys.length; slot += 1) {
      if (isSame(keys[slot] as Buffer, bytes, keyStart, keyEnd)) return slot;
    }
    return -1;
  }

  #requireKeys(bytes: Buffer, starts: Int32Array, lengths: Int32Array): void {
    const { names, presentSlots, idSlots } = this.#wanted;
    const missing = presentSlots.filter((slot) => this.#isPresent[slot] === 0);
    if (missing.length > 0)
      throw this.#malformed(`has no key ${missing.map((slot) => names[slot]).join(', ')}`);
    for (const slot of idSlots) {
      const first = bytes[starts[slot] as number] as number;
      const isId = this.#kinds[slot] === 'text' || first === MINUS || (first >= ZERO && first <= NINE);
      if ((lengths[slot] as number) < 0 || !isId)
        throw this.#malformed(
          `has in ${names[slot]}, which identifies the event, neither a text nor a number`,
        );
    }
  }

  /** Only when all else is right: a message that can't pass is kept as it came. */
  #decodeTexts(bytes: Buffer, starts: Int32Array, lengths: Int32Array): void {
    for (let slot = 0; slot < this.#keys.length; slot += 1) {
      if (this.#isEscaped[slot] === 0 || (lengths[slot] as number) < 0) continue;
      const start = starts[slot] as number;
      if (hasLoneSurrogate(bytes, start, start + (lengths[slot] as number)))
        throw this.#malformed(
          `has in ${this.#wanted.names[slot]} half of a surrogate pair, which is no character`,
        );
    }
    for (let slot = 0; slot < this.#keys.length; slot += 1) {
      if (this.#isEscaped[slot] === 0 || (lengths[slot] as number) < 0) continue;
      const start = starts[slot] as number;
      lengths[slot] = decodeJsonTextInPlace(bytes, start, start + (lengths[slot] as number));
    }
  }

  #malformed(what: string): WalrelayError {
    const { name, prefix } = this.#wanted;
    return new WalrelayError('EVENT_MALFORMED', `a message of ${name} ${what}`, {
      facts: { outbox: name, prefix },
    });
  }
}

function isSame(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let index = 0; index < known.length; index += 1) {
    if (known[index] !== bytes[start + index]) return false;
  }
  return true;
}

const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
