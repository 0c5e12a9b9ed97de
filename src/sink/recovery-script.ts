import type { PackedShapes } from './packed-shapes.ts';
import { type Script, scriptOf } from './script.ts';
import { xaddLua } from './xadd-lua.ts';

/**
 * What a recovered entry has instead of lsn, seq and committed_at, which only the WAL tells: when it was appended, ISO 8601
 * in UTC.
 */
export const RECOVERED_AT = 'recovered_at';

/**
 * Appends rows of the table while no relay streams (`walrelay recover`). The watermark stays where it is.
 *
 * KEYS: the batch's streams, then their lane: the events count their streams' keys from 1. ARGV: epoch, fence, the number
 * of events, the packed events (one flat MessagePack array), the time.
 *
 * Answers {appended} when every event stands, {appended, refusal} when Redis refused one: those before it stand,
 * nothing after it was tried.
 */
export function compileRecoverScript(packed: PackedShapes): Script {
  return scriptOf(`
local lane = redis.call('HMGET', KEYS[#KEYS], 'epoch', 'fence')
if not lane[1] then return redis.error_reply('NOLANE the lane state is gone') end
if lane[1] ~= ARGV[1] then return redis.error_reply('EPOCH the lane is in epoch ' .. lane[1]) end
if lane[2] ~= ARGV[2] then return redis.error_reply('FENCED by session ' .. lane[2]) end
local v = cmsgpack.unpack(ARGV[4])
local pcall = redis.pcall
for e = 0, tonumber(ARGV[3]) - 1 do
  local i = e * ${packed.stride} + 1
  ${xaddLua(packed, { same: { [RECOVERED_AT]: 'ARGV[5]' } })}
  if type(reply) == 'table' then return {e, reply.err or 'ERR no reason given'} end
end
return {tonumber(ARGV[3])}
`);
}
