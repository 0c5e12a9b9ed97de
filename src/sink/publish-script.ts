import { LoadedScript } from './loaded-script.ts';
import type { PackedShapes } from './packed-shapes.ts';
import { xaddLua } from './xadd-lua.ts';

/**
 * The script of the polling relay: appends events in order and stops at the first that Redis refuses. A pipeline of
 * XADDs would go on behind a refused one and so reorder its stream; and it costs the relay a command and a promise per
 * event. There is no watermark: what was published is known by the row that is gone or marked.
 *
 * KEYS: the batch's streams. ARGV: the number of events, the packed events. Answers as `publishLua` says.
 */
export function compilePublishScript(shapes: PackedShapes): LoadedScript {
  return new LoadedScript(publishLua(shapes, { count: 'ARGV[1]', packed: 'ARGV[2]' }));
}

/**
 * Lua that appends the packed events of a batch, whose streams are the first of KEYS, and returns: {appended} when every
 * event stands, {appended, refusal} when Redis refused one: those before it stand, nothing after it was tried. `count`,
 * `packed`: Lua for the number of events and the flat MessagePack array; `same`: see xaddLua.
 */
export function publishLua(
  shapes: PackedShapes,
  { count, packed }: { readonly count: string; readonly packed: string },
  same: Readonly<Record<string, string>> = {},
): string {
  return `
local v = cmsgpack.unpack(${packed})
local count = tonumber(${count})
local pcall = redis.pcall
for e = 0, count - 1 do
  local i = e * ${shapes.stride} + 1
  ${xaddLua(shapes, same)}
  if type(reply) == 'table' then return {e, reply.err or 'ERR no reason given'} end
end
return {count}
`;
}
