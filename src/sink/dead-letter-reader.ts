import type { ValueKind } from '../core/entry-shape.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { DEAD_LETTER_COLUMN, DEAD_LETTER_FIELDS } from './dead-letter.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { EntryId } from './stream-reader.ts';

/** What a dead letter says of its event, without the event's columns. */
export interface DeadLetterHead {
  /** The key of the stream that it stands in. */
  readonly key: string;
  readonly entryId: EntryId;
  readonly reason: string;
  readonly message: string;
  readonly outbox: string;
  /** Empty where the outbox has none. */
  readonly table: string;
  readonly eventId: string | null;
  readonly stream: string | null;
  readonly lsn: string;
  readonly seq: string;
  readonly committedAt: string;
  /** Of all its fields. */
  readonly byteCount: number;
}

/** A dead letter, whole. */
export interface DeadLetterEntry extends DeadLetterHead {
  /** Its columns, byte for byte; null for NULL. One that is not here was not read when the event was relayed. */
  readonly columns: ReadonlyMap<string, Buffer | null>;
  /** Instead of columns: a message that could not be read, as it came. */
  readonly content: Buffer | null;
  /** Of the columns that are no text. */
  readonly kinds: ReadonlyMap<string, ValueKind>;
}

/** Reads dead letters; the connection must be the one that holds the key. */
export class DeadLetterReader {
  readonly #redis: RedisConnection;
  readonly #key: string;

  constructor(redis: RedisConnection, key: string) {
    this.#redis = redis;
    this.#key = key;
  }

  /**
   * The heads of all letters from an entry ID on, oldest first, a page at a time. The columns stay on the server, and a page
   * looks at no more than some entries or bytes, so that nobody waits long.
   */
  async *heads(from: string, to = '+'): AsyncGenerator<readonly DeadLetterHead[]> {
    for (let at: string | null = from; at !== null; ) {
      const reply = await this.#redis.command(
        `reading the dead letters ${this.#key}`,
        'EVAL',
        READ_HEADS_SCRIPT,
        1,
        this.#key,
        at,
        to,
        ENTRIES_PER_PAGE,
        BYTES_PER_PAGE,
        ...HEAD_FIELDS,
      );
      if (!Array.isArray(reply) || !Array.isArray(reply[1])) throw unexpected();
      const heads = (reply[1] as unknown[][]).map((values) => this.#head(values));
      if (heads.length > 0) yield heads;
      at = reply[0] === 1 ? null : `(${heads.at(-1)?.entryId ?? '-'}`;
    }
  }

  /** Null when there is none. */
  async read(entryId: EntryId): Promise<DeadLetterEntry | null> {
    const reply = await this.#redis.commandBuffer(
      'reading a dead letter',
      'XRANGE',
      this.#key,
      entryId,
      entryId,
    );
    if (!Array.isArray(reply)) throw unexpected();
    const [entry] = reply as unknown[];
    if (entry === undefined) return null;
    if (!Array.isArray(entry) || !Array.isArray(entry[1])) throw unexpected();
    const list = entry[1] as Buffer[];
    const fields = new Map<string, Buffer>();
    let byteCount = 0;
    for (let at = 0; at + 1 < list.length; at += 2) {
      const [name, value] = [list[at] as Buffer, list[at + 1] as Buffer];
      fields.set(name.toString(), value);
      byteCount += name.length + value.length;
    }
    const columns = new Map<string, Buffer | null>();
    for (const [name, value] of fields) {
      if (name.startsWith(DEAD_LETTER_COLUMN)) columns.set(name.slice(DEAD_LETTER_COLUMN.length), value);
    }
    for (const name of readNulls(fields.get(DEAD_LETTER_FIELDS.nulls)?.toString())) columns.set(name, null);
    const head = this.#head([
      entryId,
      byteCount,
      ...HEAD_FIELDS.map((name) => fields.get(name)?.toString() ?? ''),
    ]);
    const content = fields.get(DEAD_LETTER_FIELDS.content) ?? null;
    return { ...head, columns, content, kinds: readKinds(fields.get(DEAD_LETTER_FIELDS.kinds)?.toString()) };
  }

  #head(values: readonly unknown[]): DeadLetterHead {
    const [entryId, byteCount, reason, message, outbox, table, id, stream, lsn, seq, committedAt] =
      values.map(String);
    return {
      key: this.#key,
      entryId: entryId ?? '',
      byteCount: Number(byteCount),
      reason: reason ?? '',
      message: message ?? '',
      outbox: outbox ?? '',
      table: table ?? '',
      eventId: id || null,
      stream: stream || null,
      lsn: lsn ?? '',
      seq: seq ?? '',
      committedAt: committedAt ?? '',
    };
  }
}

const HEAD_FIELDS = [
  DEAD_LETTER_FIELDS.reason,
  DEAD_LETTER_FIELDS.message,
  DEAD_LETTER_FIELDS.outbox,
  DEAD_LETTER_FIELDS.table,
  DEAD_LETTER_FIELDS.id,
  DEAD_LETTER_FIELDS.stream,
  DEAD_LETTER_FIELDS.lsn,
  DEAD_LETTER_FIELDS.seq,
  DEAD_LETTER_FIELDS.committedAt,
] as const;

const ENTRIES_PER_PAGE = 500;
const BYTES_PER_PAGE = 1024 * 1024;

/**
 * KEYS: stream. ARGV: from where on, up to where, how many entries, how many bytes of them, the wanted fields. Begins with
 * one entry and doubles: nobody knows how large they are. Answers {1 at the end, {ID, bytes, value …} …}.
 */
const READ_HEADS_SCRIPT = `
local from, entries_max, bytes_max = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local place = {}
for a = 5, #ARGV do place[ARGV[a]] = a - 2 end
local heads, bytes, chunk, is_last = {}, 0, 1, 0
while #heads < entries_max and bytes < bytes_max do
  local page = redis.call('XRANGE', KEYS[1], from, ARGV[2], 'COUNT', chunk)
  for _, entry in ipairs(page) do
    local fields, size, head = entry[2], 0, {entry[1], 0}
    for a = 5, #ARGV do head[a - 2] = '' end
    for f = 1, #fields, 2 do
      size = size + #fields[f] + #fields[f + 1]
      if place[fields[f]] then head[place[fields[f]]] = fields[f + 1] end
    end
    head[2] = size
    bytes = bytes + size
    heads[#heads + 1] = head
  end
  if #page < chunk then
    is_last = 1
    break
  end
  from = '(' .. page[#page][1]
  chunk = math.min(chunk * 2, 64)
end
return {is_last, heads}
`;

function readNulls(text: string | undefined): string[] {
  const names = parseField(text);
  return Array.isArray(names) ? names.map(String) : [];
}

function readKinds(text: string | undefined): Map<string, ValueKind> {
  const kinds = parseField(text);
  if (typeof kinds !== 'object' || kinds === null) return new Map();
  return new Map(
    Object.entries(kinds).filter(
      (pair): pair is [string, ValueKind] => pair[1] === 'json' || pair[1] === 'bytes',
    ),
  );
}

function parseField(text: string | undefined): unknown {
  try {
    return text === undefined ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

function unexpected(): WalrelayError {
  return new WalrelayError(
    'REDIS_REFUSED',
    'Redis gave an answer to a look at dead letters that it never gives',
  );
}
