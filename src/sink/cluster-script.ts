import { CHECK_HOLDER, IS_BEFORE, LANE_VERSION } from './append-script.ts';

/**
 * The scripts for the lanes of a cluster. A script reaches only one hash slot, so the control state and each lane are
 * fenced one after the other: the control state first, which says who comes next, then every lane that it lists.
 */

/**
 * KEYS: lane. ARGV: epoch, fence, holder; then watermark, floor, system id and timeline of a lane that had none. Answers
 * the lane's fields under the new fence; {'FENCE', fence} when the lane has seen as new a fence already.
 */
export const OPEN_LANE_SCRIPT = `
local lane = redis.call('HMGET', KEYS[1], 'epoch', 'fence')
if not lane[1] then
  redis.call('HSET', KEYS[1], 'v', '${LANE_VERSION}', 'epoch', ARGV[1], 'watermark', ARGV[4], 'floor', ARGV[5],
    'system_id', ARGV[6], 'timeline', ARGV[7])
elseif lane[1] ~= ARGV[1] then
  return redis.error_reply('EPOCH the lane is in epoch ' .. lane[1])
elseif tonumber(lane[2]) >= tonumber(ARGV[2]) then
  return {'FENCE', lane[2]}
end
redis.call('HSET', KEYS[1], 'fence', ARGV[2], 'holder', ARGV[3])
return redis.call('HGETALL', KEYS[1])
`;

/** KEYS: control. ARGV: epoch, fence, field. Lists a lane before its first entry, under the fence. */
export const LIST_LANE_SCRIPT = `${CHECK_HOLDER}
return redis.call('HSETNX', KEYS[1], ARGV[3], '')
`;

/** KEYS: control. ARGV: field. Forgets the floors that were noted for a lane: they were noted in another epoch. */
export const FORGET_FLOORS_SCRIPT = `return redis.call('HSET', KEYS[1], ARGV[1], '')`;

/**
 * KEYS: lane. ARGV: epoch, floor, the highest watermark that the new epoch knows, the watermark of a lane that had none,
 * system id, timeline. Takes a lane into a new epoch; its watermark never rises by that.
 */
export const ACCEPT_LANE_SCRIPT = `${IS_BEFORE}
local watermark = redis.call('HGET', KEYS[1], 'watermark') or ARGV[4]
if is_before(ARGV[3], watermark) then watermark = ARGV[3] end
redis.call('HSET', KEYS[1], 'v', '${LANE_VERSION}', 'epoch', ARGV[1], 'fence', '0', 'floor', ARGV[2], 'watermark', watermark,
  'system_id', ARGV[5], 'timeline', ARGV[6])
return 'OK'
`;
