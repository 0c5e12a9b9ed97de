import { POLLED_ENTRY_FIELDS, VALUES_PER_POLLED_EVENT } from './publish-script.ts';
import { xaddLua } from './xadd-lua.ts';

/**
 * The scripts of a recovery (`walrelay recover`). While the lane's field `recovery` says that one is under way, no relay
 * streams: the fence was raised for it, and the guards refuse. Watermark, floor and epoch move only at its end.
 */

/**
 * What a recovered entry has instead of lsn, seq and committed_at, which only the WAL tells: a position that its
 * transaction was committed before.
 */
export const RECOVERED_FIELD = 'recovered';

/** The lane's key is the last one: the events count their streams' keys from 1. */
const CHECK_HOLDER = `
local lane_key = KEYS[#KEYS]
local lane = redis.call('HMGET', lane_key, 'epoch', 'fence')
if not lane[1] then return redis.error_reply('NOLANE the lane state is gone') end
if lane[1] ~= ARGV[1] then return redis.error_reply('EPOCH the lane is in epoch ' .. lane[1]) end
if lane[2] ~= ARGV[2] then return redis.error_reply('FENCED by session ' .. lane[2]) end
`;

/**
 * KEYS: lane. ARGV: the epoch that the lane is in ('' for none), holder, how far the recovery is, then field, value … of
 * the lane that is made where there is none. Raises the fence and notes the recovery, as one block; answers epoch and fence.
 */
export const BEGIN_RECOVERY_SCRIPT = `
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if (epoch or '') ~= ARGV[1] then return redis.error_reply('EPOCH the lane is in epoch ' .. (epoch or 'none')) end
if not epoch then redis.call('HSET', KEYS[1], unpack(ARGV, 4)) end
redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[1], 'holder', ARGV[2], 'recovery', ARGV[3])
return redis.call('HMGET', KEYS[1], 'epoch', 'fence')
`;

/**
 * KEYS: the batch's streams, lane. ARGV: epoch, fence, the number of events, the packed events (one flat MessagePack
 * array), the position that they were committed before, how far the recovery is with them.
 *
 * Answers {appended} when every event stands, {appended, refusal} when Redis refused one: those before it stand,
 * nothing after it was tried.
 */
export const RECOVER_SCRIPT = `${CHECK_HOLDER}
local v = cmsgpack.unpack(ARGV[4])
local pcall = redis.pcall
for e = 0, tonumber(ARGV[3]) - 1 do
  local i = e * ${VALUES_PER_POLLED_EVENT} + 1
  ${xaddLua(POLLED_ENTRY_FIELDS, { [RECOVERED_FIELD]: 'ARGV[5]' })}
  if type(reply) == 'table' then return {e, reply.err or 'ERR no reason given'} end
end
redis.call('HSET', lane_key, 'recovery', ARGV[6])
return {tonumber(ARGV[3])}
`;

/** KEYS: lane. ARGV: epoch, fence, field, value … of the lane as the recovery leaves it. Ends the recovery. */
export const END_RECOVERY_SCRIPT = `${CHECK_HOLDER}
redis.call('HSET', lane_key, unpack(ARGV, 3))
return 'OK'
`;
