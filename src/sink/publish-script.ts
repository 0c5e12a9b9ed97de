import { ENTRY_FIELDS } from './append-script.ts';
import { xaddLua } from './xadd-lua.ts';

/**
 * The script of the polling relay: appends events in order and stops at the first that Redis refuses. A pipeline of
 * XADDs would go on behind a refused one and so reorder its stream; and it costs the relay a command and a promise per
 * event. There is no watermark: what was published is known by the row that is gone or marked.
 */

/** Only the WAL tells these: a query sees a row, not its place in the history. */
const KNOWN_FROM_WAL: readonly string[] = ['lsn', 'seq', 'committed_at'];

/** What the fields of a polled entry are called, in their order: those of `walrelay run`, as far as they are known. */
export const POLLED_ENTRY_FIELDS: readonly string[] = ENTRY_FIELDS.filter(
  (name) => !KNOWN_FROM_WAL.includes(name),
);

/** A packed event: the number of its stream's key, negative when a value is NULL, then the fields' values. */
export const VALUES_PER_POLLED_EVENT = 1 + POLLED_ENTRY_FIELDS.length;

/**
 * Lua that appends the packed events of a batch, whose streams are the first of KEYS, and returns: {appended} when every
 * event stands, {appended, refusal} when Redis refused one: those before it stand, nothing after it was tried. `count`,
 * `packed`: Lua for the number of events and the flat MessagePack array; `same`: see xaddLua.
 */
export function publishLua(
  { count, packed }: { readonly count: string; readonly packed: string },
  same: Readonly<Record<string, string>> = {},
): string {
  return `
local v = cmsgpack.unpack(${packed})
local count = tonumber(${count})
local pcall = redis.pcall
for e = 0, count - 1 do
  local i = e * ${VALUES_PER_POLLED_EVENT} + 1
  ${xaddLua(POLLED_ENTRY_FIELDS, same)}
  if type(reply) == 'table' then return {e, reply.err or 'ERR no reason given'} end
end
return {count}
`;
}

/** KEYS: the batch's streams. ARGV: the number of events, the packed events. Answers as `publishLua` says. */
export const PUBLISH_SCRIPT = publishLua({ count: 'ARGV[1]', packed: 'ARGV[2]' });
