import { IS_BEFORE } from './append-script.ts';
import type { PackedShapes } from './packed-shapes.ts';
import { RECOVERED_AT } from './recovery-script.ts';
import { xaddLua } from './xadd-lua.ts';

/**
 * The scripts that append events a second way, from the table and not from the WAL: for `audit --repair` and for
 * `walrelay replay`. Their entries carry a field of their own that says so, and neither `lsn` nor `seq`: only the WAL tells
 * these.
 */

/** When `walrelay replay` appended the entry: ISO 8601, UTC. */
export const REPLAYED_AT = 'replayed_at';

/**
 * Appends the events of the flat array `v` to the keys behind the first `keyOffset`, each with the field `mark`; stops at the
 * first refusal.
 */
function appendMarked(packed: PackedShapes, keyOffset: number, mark: string): string {
  return `
local pcall = redis.pcall
local function append_marked(v, count, marked_at)
  for e = 0, count - 1 do
    local i = e * ${packed.stride} + 1
    ${xaddLua(packed, { same: { [mark]: 'marked_at' }, keyOffset })}
    if type(reply) == 'table' then return {e, reply.err or 'ERR no reason given'} end
  end
  return {count}
end
`;
}

/**
 * KEYS: the lane, then the batch's streams. ARGV: epoch, floor, the number of recoveries so far, the number of events, the
 * packed events, the time.
 *
 * Checks and appends in one block. That the slot never sends these events again is for the caller to know. Here it is
 * checked that Redis has not gone back since the streams were read (the floor, the epoch), and that nobody else has
 * recovered anything: the lane counts recoveries, and the count was read before the streams were.
 *
 * Answers as the publish script does, or an error: NOLANE, EPOCH, GAP (Redis went back), RECOVERED (somebody else did).
 */
export function repairScript(packed: PackedShapes): string {
  return `${appendMarked(packed, 1, RECOVERED_AT)}${IS_BEFORE}
local lane = redis.call('HMGET', KEYS[1], 'epoch', 'floor', 'recoveries')
if not lane[1] then return redis.error_reply('NOLANE the lane state is gone') end
if lane[1] ~= ARGV[1] then return redis.error_reply('EPOCH the lane is in epoch ' .. lane[1]) end
if not lane[2] or is_before(lane[2], ARGV[2]) then return redis.error_reply('GAP the floor went back to ' .. (lane[2] or 'nothing')) end
if (lane[3] or '0') ~= ARGV[3] then return redis.error_reply('RECOVERED by somebody else') end
redis.call('HINCRBY', KEYS[1], 'recoveries', 1)
return append_marked(cmsgpack.unpack(ARGV[5]), tonumber(ARGV[4]), ARGV[6])
`;
}

/** KEYS: the batch's streams. ARGV: the number of events, the packed events, the time. */
export function replayScript(packed: PackedShapes): string {
  return `${appendMarked(packed, 0, REPLAYED_AT)}
return append_marked(cmsgpack.unpack(ARGV[2]), tonumber(ARGV[1]), ARGV[3])
`;
}
