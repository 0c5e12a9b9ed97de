import { isKeyOf, namesKey, registerKey } from '../core/own-keys.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { partitionOf } from './partition-of.ts';
import type { StreamTemplate } from './stream-template.ts';

/** A stream that events were routed to. The batch builder keeps its place in the current batch here. */
export interface Stream {
  readonly name: string;
  /** The number of its lane. */
  readonly lane: number;
  /** The number of the shape that its entries have. */
  readonly shape: number;
  /** The batch that `keyIndex` belongs to, and this stream's place among that batch's keys. */
  batchSeq: number;
  keyIndex: number;
}

/**
 * Finds the stream of an event from the bytes of the routing columns, without making a string of them for a
 * stream that it knows. Names come from data, so each new one is checked: a name that is empty, too long, or
 * holds anything but plain characters is a poison event, never a key of somebody else's choosing.
 */
export class StreamRouter {
  readonly #template: StreamTemplate;
  readonly #slots: readonly number[];
  readonly #reserved: ReservedNames;
  readonly #laneOf: (name: string) => number;
  readonly #admit: StreamOptions['admit'];
  readonly #setting: string;
  readonly #shape: number;
  readonly #partition: StreamOptions['partition'];
  /** Known streams by the latin1 reading of their routing bytes. */
  readonly #streams = new Map<string, Stream>();
  /** The routing bytes of the last event: outboxes come in runs. Only for templates with one placeholder. */
  #lastBytes: Buffer = Buffer.alloc(0);
  #lastStream: Stream | null = null;

  /**
   * `slots[i]` is the decoder's slot of the template's i-th placeholder; `reserved` Walrelay's own keys; `laneOf` is
   * asked once for each new stream.
   */
  constructor(template: StreamTemplate, slots: readonly number[], options: StreamOptions) {
    this.#template = template;
    this.#slots = slots;
    this.#reserved = options.reserved;
    this.#laneOf = options.laneOf ?? (() => 0);
    this.#admit = options.admit;
    this.#setting = options.setting ?? 'WALRELAY_STREAM';
    this.#shape = options.shape ?? 0;
    this.#partition = options.partition;
    if (slots.length === 0) this.#lastStream = this.#create('', template.text);
  }

  route(bytes: Buffer, starts: Int32Array, lengths: Int32Array): Stream {
    if (this.#slots.length === 0) return this.#lastStream as Stream;
    if (this.#slots.length === 1 && this.#slots[0] !== PARTITION)
      return this.#routeByOne(bytes, starts, lengths, this.#slots[0] as number);
    let key = '';
    for (const slot of this.#slots) {
      if (slot === PARTITION) {
        key += `${this.#partitionOf(bytes, starts, lengths)}:`;
        continue;
      }
      const start = starts[slot] as number;
      const length = this.#requireValue(lengths[slot] as number, slot);
      key += `${length}:${bytes.toString('latin1', start, start + length)}`;
    }
    return this.#streams.get(key) ?? this.#create(key, this.#fill(bytes, starts, lengths));
  }

  #routeByOne(bytes: Buffer, starts: Int32Array, lengths: Int32Array, slot: number): Stream {
    const start = starts[slot] as number;
    const length = this.#requireValue(lengths[slot] as number, slot);
    const last = this.#lastStream;
    if (last !== null && isSame(this.#lastBytes, bytes, start, length)) return last;
    const key = bytes.toString('latin1', start, start + length);
    const stream = this.#streams.get(key) ?? this.#create(key, this.#fill(bytes, starts, lengths));
    this.#lastBytes = Buffer.from(key, 'latin1');
    this.#lastStream = stream;
    return stream;
  }

  #fill(bytes: Buffer, starts: Int32Array, lengths: Int32Array): string {
    let name = this.#template.literals[0] as string;
    this.#slots.forEach((slot, index) => {
      const start = starts[slot] as number;
      name +=
        slot === PARTITION
          ? this.#partitionOf(bytes, starts, lengths)
          : bytes.toString('utf8', start, start + (lengths[slot] as number));
      name += this.#template.literals[index + 1] as string;
    });
    return name;
  }

  #create(key: string, name: string): Stream {
    const fault = findNameFault(name, this.#reserved);
    if (fault !== null) {
      throw new WalrelayError('EVENT_STREAM_NAME', `the event's stream name ${shorten(name)} ${fault}`, {
        hint: `Correct the row, or choose a stream whose columns hold plain names: ${this.#setting}.`,
      });
    }
    this.#admit?.(name);
    // Names come from data: bounded, so that a hostile producer can't fill the relay's memory.
    if (this.#streams.size >= KNOWN_STREAMS_MAX) this.#streams.clear();
    const stream: Stream = { name, lane: this.#laneOf(name), shape: this.#shape, batchSeq: -1, keyIndex: -1 };
    this.#streams.set(key, stream);
    return stream;
  }

  #partitionOf(bytes: Buffer, starts: Int32Array, lengths: Int32Array): number {
    const { slot, count } = this.#partition as NonNullable<StreamOptions['partition']>;
    const length = lengths[slot] as number;
    if (length >= 0) return partitionOf(bytes, starts[slot] as number, length, count);
    throw new WalrelayError(
      'EVENT_NO_ROUTE',
      `the event has no stream: \${partition} of ${JSON.stringify(this.#template.text)} is made of the aggregate id, which is NULL`,
      { hint: this.#unfilledHint },
    );
  }

  get #unfilledHint(): string {
    return `Choose a stream that every event can fill: ${this.#setting}.`;
  }

  #requireValue(length: number, slot: number): number {
    if (length > 0) return length;
    const placeholder = this.#template.placeholders[this.#slots.indexOf(slot)] as string;
    const what = length === 0 ? 'empty' : 'NULL';
    throw new WalrelayError(
      'EVENT_NO_ROUTE',
      `the event has no stream: \${${placeholder}} of ${JSON.stringify(this.#template.text)} is ${what}`,
      { hint: this.#unfilledHint },
    );
  }
}

/** Keys of Walrelay's own, which no event may be routed to. */
export interface ReservedNames {
  readonly metaKey: string;
  readonly deadLetterStream: string;
}

export interface StreamOptions {
  readonly reserved: ReservedNames;
  readonly laneOf?: ((stream: string) => number) | undefined;
  /** Throws for a proper name that may not become a stream all the same. Asked at least once for each. */
  readonly admit?: ((stream: string) => void) | undefined;
  readonly shape?: number | undefined;
  /** Where the template stands, for whoever has to choose another one. */
  readonly setting?: string | undefined;
  /** What `${partition}` is made of. */
  readonly partition?: { readonly slot: number; readonly count: number } | undefined;
}

/** Stands among the slots for what is no column: the partition. */
export const PARTITION = -2;

const KNOWN_STREAMS_MAX = 50_000;
export const STREAM_NAME_CHARACTERS_MAX = 256;
/** Letters and digits of any script, and the punctuation that key names use. No white space, quotes or controls. */
const PLAIN_NAME = /^[\p{L}\p{M}\p{N}._:\-/@#+=~{}]+$/u;

/** Why a name can't be a stream, or null. */
export function findNameFault(name: string, { metaKey, deadLetterStream }: ReservedNames): string | null {
  if (name === '') return 'is empty';
  if (name.length > STREAM_NAME_CHARACTERS_MAX)
    return `is longer than ${STREAM_NAME_CHARACTERS_MAX} characters`;
  if (isKeyOf(metaKey, name)) return 'is the key of the lane state';
  if (isKeyOf(deadLetterStream, name)) return 'is that of the dead letters';
  if (name === namesKey(metaKey) || name === registerKey(metaKey)) return "is a key of the relay's own";
  if (!PLAIN_NAME.test(name)) return 'holds characters that a stream name must not have';
  return null;
}

function isSame(known: Buffer, bytes: Buffer, start: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let index = 0; index < length; index += 1) {
    if (known[index] !== bytes[start + index]) return false;
  }
  return true;
}

/** Escaped and cut: the name is somebody's data and goes to a log. */
function shorten(name: string): string {
  const text = JSON.stringify(name.slice(0, 64));
  return name.length > 64 ? `${text}…` : text;
}
