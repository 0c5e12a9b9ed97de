import type { PackedShapes } from './packed-shapes.ts';
import { type Script, scriptOf } from './script.ts';
import { xaddLua } from './xadd-lua.ts';

/**
 * The script of the polling relay: appends events in order and stops at the first that Redis refuses. A pipeline of
 * XADDs would go on behind a refused one and so reorder its stream; and it costs the relay a command and a promise per
 * event. There is no watermark: what was published is known by the row that is gone or marked.
 *
 * KEYS: the batch's streams. ARGV: the number of events, the packed events (one flat MessagePack array).
 *
 * Answers {appended} when every event stands, {appended, refusal} when Redis refused one: those before it stand,
 * nothing after it was tried.
 */
export function compilePublishScript(packed: PackedShapes): Script {
  return scriptOf(`
local v = cmsgpack.unpack(ARGV[2])
local pcall = redis.pcall
for e = 0, tonumber(ARGV[1]) - 1 do
  local i = e * ${packed.stride} + 1
  ${xaddLua(packed)}
  if type(reply) == 'table' then return {e, reply.err or 'ERR no reason given'} end
end
return {tonumber(ARGV[1])}
`);
}
