import type { EntryRoles } from '../core/entry-shape.ts';
import { parseCommittedAtUs } from './commit-time.ts';
import type { RedisConnection } from './redis-connection.ts';
import { type EntryId, parseEntryId, StreamReader } from './stream-reader.ts';

/**
 * Reads the event ids of whole streams, page by page, without their payloads. A script picks them out on the server, so
 * that a page costs what its ids do; it looks at no more than some entries or bytes at a time, so that nobody waits long.
 */

/** What one stream says of itself beside its ids. Times: microseconds since 1970. */
export interface StreamFacts {
  readonly name: string;
  readonly entries: number;
  /** When the oldest entry that says so was committed. Whatever the stream held before it was trimmed. */
  readonly oldestCommittedUs: number | null;
  readonly newestCommittedUs: number | null;
  /** Whether entries were trimmed or deleted at any time; true also where Redis 6.2 doesn't tell. */
  readonly hasLostEntries: boolean;
  /** By the clock of Redis: when the newest entry was appended that somebody has deleted (XDEL). Redis 6.2 doesn't tell. */
  readonly deletedUpToUs: number | null;
}

/** Which fields of an entry say its id and its commit time; null where none does. */
export interface IdFields {
  readonly id: string | null;
  readonly committedAt: string | null;
  readonly reading?: EntryRoles['reading'];
}

/** Hands each id of the stream over, oldest first, then tells what else there is to know. */
export async function readStreamIds(
  redis: RedisConnection,
  name: string,
  fields: IdFields,
  take: (id: string) => void,
): Promise<StreamFacts> {
  let entries = 0;
  let oldest: string | null = null;
  let newest: string | null = null;
  let firstId: string | null = null;
  for (let from: string | null = '-'; from !== null; ) {
    const page: Page = await readPage(redis, name, from, fields);
    for (const id of page.ids) take(id);
    entries += page.ids.length;
    firstId ??= page.firstId;
    oldest ??= page.oldest;
    newest = page.newest ?? newest;
    from = page.isLast ? null : `(${page.lastId}`;
  }
  const info = await new StreamReader(redis).info(name);
  if ((info?.firstId ?? null) !== firstId) {
    // Trimmed while it was read: what was cut off before it was read counts as cut off, not as missing.
    const now = await readPage(redis, name, '-', fields);
    oldest = now.oldest ?? newest;
  }
  return {
    name,
    entries,
    oldestCommittedUs: commitTime(oldest),
    newestCommittedUs: commitTime(newest),
    // Deleted or expired since: then it held nothing that could be compared.
    hasLostEntries: info?.hasLostEntries ?? true,
    deletedUpToUs: endOfMillisecond(info?.newestDeletedId ?? null),
  };
}

/** Null for what somebody else has written into the stream: it tells nothing. */
function commitTime(text: string | null): number | null {
  const us = parseCommittedAtUs(text ?? undefined);
  return us === null ? null : Number(us);
}

/** An entry's ID has no more than milliseconds. */
function endOfMillisecond(id: EntryId | null): number | null {
  return id === null ? null : (Number(parseEntryId(id)[0]) + 1) * 1000;
}

interface Page {
  readonly ids: readonly string[];
  readonly firstId: string | null;
  readonly lastId: string;
  readonly isLast: boolean;
  readonly oldest: string | null;
  readonly newest: string | null;
}

async function readPage(redis: RedisConnection, name: string, from: string, fields: IdFields): Promise<Page> {
  const reply = await redis.command(
    `reading ${name}`,
    'EVAL',
    READ_IDS_SCRIPT,
    1,
    name,
    from,
    ENTRIES_PER_PAGE,
    BYTES_PER_PAGE,
    fields.id ?? '',
    fields.committedAt ?? '',
    typeof fields.reading === 'object' ? 'event' : (fields.reading ?? 'plain'),
    typeof fields.reading === 'object' ? fields.reading.field : '',
  );
  const [firstId, lastId, isLast, oldest, newest, ids] = reply as [
    string,
    string,
    number,
    string,
    string,
    string[],
  ];
  return {
    ids,
    firstId: firstId || null,
    lastId,
    isLast: isLast === 1,
    oldest: oldest || null,
    newest: newest || null,
  };
}

const ENTRIES_PER_PAGE = 2000;
const BYTES_PER_PAGE = 1024 * 1024;

/**
 * KEYS: stream. ARGV: from where on, how many entries, how many bytes of them, the fields of id and commit time,
 * how they are read (plain; json: in quotes; event: within a CloudEvent) and the field of the event. It begins with one entry and doubles:
 * nobody knows how large they are. Answers {first entry's ID, last one's, whether it was the stream's last, commit time
 * of the first entry that has one and of the last, event ids}.
 */
const READ_IDS_SCRIPT = `
-- A CloudEvent without its data, which is last: a name in quotes stands there once before it.
local function attributes(text)
  local at = string.find(text, ',"data":', 1, true) or string.find(text, ',"data_base64":', 1, true)
  local is_read, event = pcall(cjson.decode, at and string.sub(text, 1, at - 1) .. '}' or text)
  if not is_read or type(event) ~= 'table' then return {} end
  return {ARGV[4], event[ARGV[4]], ARGV[5], event[ARGV[5]]}
end
local function unquoted(text)
  if ARGV[6] ~= 'json' or string.sub(text, 1, 1) ~= '"' then return text end
  local is_read, value = pcall(cjson.decode, text)
  return is_read and value or text
end
-- Others may write to the stream, and have times of their own.
local function is_time(value)
  return type(value) == 'string' and string.find(value, '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$')
end
local from, entries_max, bytes_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ids, seen, bytes, chunk, is_last = {}, 0, 0, 1, 0
local first, last, oldest, newest = '', '', '', ''
while seen < entries_max and bytes < bytes_max do
  local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', chunk)
  for _, entry in ipairs(page) do
    local fields = entry[2]
    seen = seen + 1
    last = entry[1]
    if first == '' then first = last end
    for f = 1, #fields, 2 do
      bytes = bytes + #fields[f] + #fields[f + 1]
      if ARGV[6] == 'event' and fields[f] == ARGV[7] then fields = attributes(fields[f + 1]) break end
    end
    for f = 1, #fields, 2 do
      if fields[f] == ARGV[4] then
        if type(fields[f + 1]) == 'string' then ids[#ids + 1] = unquoted(fields[f + 1]) end
      elseif fields[f] == ARGV[5] and is_time(fields[f + 1]) then
        newest = fields[f + 1]
        if oldest == '' then oldest = newest end
      end
    end
  end
  if #page < chunk then
    is_last = 1
    break
  end
  from = '(' .. last
  chunk = math.min(chunk * 2, 256)
end
return {first, last, is_last, oldest, newest, ids}
`;
