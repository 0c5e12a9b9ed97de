/**
 * The scripts that alone write to Redis. Each runs as one block on the server, so entries and watermark can only
 * be there together or not at all; Redis replicates and persists them as one block too.
 *
 * Positions are fixed-width upper-case hex, compared piece by piece as numbers. Not whole, since Lua's numbers are
 * doubles; not as text, since Lua's `<` obeys the server's locale, and Danish sorts "AA" behind "AB".
 * EVALSHA and no shebang, so that Redis 6.2 and every Valkey run them.
 */

import type { PackedShapes } from './packed-shapes.ts';
import { LoadedScript } from './loaded-script.ts';
import { xaddLua } from './xadd-lua.ts';

/** Names of the lane state's fields (one hash). `v` is the version of this format. */
export const LANE_VERSION = '1';

/** ARGV: epoch, fence. Leaves the lane's epoch, fence and watermark in `lane`. */
export const CHECK_HOLDER = `
local lane = redis.call('HMGET', KEYS[1], 'epoch', 'fence', 'watermark')
if not lane[1] then return redis.error_reply('NOLANE the lane state is gone') end
if lane[1] ~= ARGV[1] then return redis.error_reply('EPOCH the lane is in epoch ' .. lane[1]) end
if lane[2] ~= ARGV[2] then
  -- A fence that went back was lost, by a crash or a failover, and what was appended under it as well.
  if tonumber(lane[2]) < tonumber(ARGV[2]) then
    return redis.error_reply('GAP the fence went back to ' .. lane[2])
  end
  return redis.error_reply('FENCED by session ' .. lane[2])
end
`;

export const IS_BEFORE = `
local function is_before(a, b)
  for from = 1, #b, 8 do
    local x = tonumber(string.sub(a, from, from + 7), 16)
    local y = tonumber(string.sub(b, from, from + 7), 16)
    if x ~= y then return x < y end
  end
  return false
end
`;

/**
 * KEYS: lane, then the batch's streams. ARGV: epoch, fence, the position before the first event, the position of
 * the last event, the number of events, the packed events (one flat MessagePack array).
 *
 * Answers {appended, skipped} when every event stands, {appended, skipped, refusal} when Redis refused one: those
 * before it stand and the watermark says so, nothing after it was tried.
 *
 * Generated from the shapes of the relay's entries: what is constant in them stands in the script.
 */
export function compileAppendScript(packed: PackedShapes): LoadedScript {
  const { stride } = packed;
  return new LoadedScript(`${CHECK_HOLDER}${IS_BEFORE}
local watermark = lane[3]
if is_before(watermark, ARGV[3]) then return redis.error_reply('GAP the watermark is ' .. watermark) end
-- Where the watermark can't be written nothing must be appended: it would be appended again. Redis 6.2 can't be asked
-- whether it can; there it is written as it stands.
if redis.acl_check_cmd then
  if not redis.acl_check_cmd('HSET', KEYS[1], 'watermark', watermark) then
    return redis.error_reply("NOPERM the user may not run the 'hset' command on the lane state")
  end
else
  local written = redis.pcall('HSET', KEYS[1], 'watermark', watermark)
  if type(written) == 'table' and written.err then return written end
end
local v = cmsgpack.unpack(ARGV[6])
local count = tonumber(ARGV[5])
local resent = watermark ~= ARGV[3]
local appended, skipped, reached, refusal = 0, 0, nil, nil
local function hex(lsn, seq)
  local high, low = string.match(lsn, '^(%x+)/(%x+)$')
  return string.format('%08X%08X%012X', tonumber(high, 16), tonumber(low, 16), tonumber(seq))
end
local pcall = redis.pcall
for e = 0, count - 1 do
  local i = e * ${stride} + 1
  if resent and not is_before(watermark, hex(v[i + 1], v[i + 2])) then
    skipped = skipped + 1
  else
    ${xaddLua(packed)}
    if type(reply) == 'table' then
      refusal = reply.err or 'ERR no reason given'
      if appended > 0 then
        local last = i - ${stride}
        reached = hex(v[last + 1], v[last + 2])
      end
      break
    end
    appended = appended + 1
  end
end
if not refusal and appended > 0 then reached = ARGV[4] end
if reached then redis.call('HSET', KEYS[1], 'watermark', reached) end
if refusal then return {appended, skipped, refusal} end
return {appended, skipped}
`);
}

/**
 * KEYS: lane. ARGV: epoch, fence, floor, the position that Redis has accepted, then field, value … Notes what is about
 * to be confirmed to Postgres; never goes back. Only where the watermark has reached that position: the floor may come
 * over another connection than the batches, and so to another server than the one that took them.
 */
export const FLOOR_SCRIPT = `${CHECK_HOLDER}${IS_BEFORE}
if is_before(lane[3], ARGV[4]) then return redis.error_reply('GAP the watermark is ' .. lane[3]) end
local floor = redis.call('HGET', KEYS[1], 'floor')
if not floor or is_before(floor, ARGV[3]) then floor = ARGV[3] end
-- Written also where it stays: WAIT and WAITAOF know only what their own connection wrote, and an earlier session may
-- have noted this floor without living to see it durable.
redis.call('HSET', KEYS[1], 'floor', floor)
if #ARGV > 4 then redis.call('HSET', KEYS[1], unpack(ARGV, 5)) end
return 'OK'
`;

/**
 * KEYS: lane. ARGV: epoch, holder, the least that the new fence may be. Raises the fence: from here on every other
 * session is refused. Answers the lane's fields as they are under the new fence (I3).
 */
export const FENCE_SCRIPT = `
local lane = redis.call('HMGET', KEYS[1], 'epoch', 'fence')
if not lane[1] then return redis.error_reply('NOLANE the lane state is gone') end
if lane[1] ~= ARGV[1] then return redis.error_reply('EPOCH the lane is in epoch ' .. lane[1]) end
local fence = math.max(tonumber(lane[2]) + 1, tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'fence', string.format('%.0f', fence), 'holder', ARGV[2])
return redis.call('HGETALL', KEYS[1])
`;

/** KEYS: lane. ARGV: epoch, fence, field, value … Sets facts of the lane (timeline) while holding it. */
export const ANNOTATE_SCRIPT = `${CHECK_HOLDER}
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 'OK'
`;

/**
 * KEYS: lane. ARGV: the epoch that is to be replaced ('' for none), then field, value … Creates the lane, or
 * replaces it in one step; answers 1, or 0 when the lane is not in that epoch (somebody else was first).
 */
export const WRITE_LANE_SCRIPT = `
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if (epoch or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
`;
