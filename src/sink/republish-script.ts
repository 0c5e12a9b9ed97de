import { IS_BEFORE } from './append-script.ts';
import type { PackedShapes } from './packed-shapes.ts';
import { publishLua } from './publish-script.ts';
import { RECOVERED_AT } from './recovery-script.ts';

/**
 * The scripts that append events a second way, from the table and not from the WAL: for `audit --repair` and for
 * `walrelay replay`. Their entries carry a field of their own that says so, and neither `lsn` nor `seq`: only the WAL tells
 * these.
 */

/** When `walrelay replay` appended the entry: ISO 8601, UTC. */
export const REPLAYED_AT = 'replayed_at';

/**
 * KEYS: the batch's streams, then their lane. ARGV: epoch, floor, the number of repairs so far, the number of events, the
 * packed events, the time.
 *
 * Checks and appends in one block. That the slot never sends these events again is for the caller to know. Here it is
 * checked that Redis has not gone back since the streams were read (the floor, the epoch), and that nobody else has
 * repaired anything: the lane counts repairs (`recoveries`), and the count was read before the streams were.
 *
 * Answers as `publishLua` says, or an error: NOLANE, EPOCH, GAP (Redis went back), RECOVERED (somebody else did).
 */
export const repairScript = (shapes: PackedShapes): string => `${IS_BEFORE}
local key = KEYS[#KEYS]
local lane = redis.call('HMGET', key, 'epoch', 'floor', 'recoveries')
if not lane[1] then return redis.error_reply('NOLANE the lane state is gone') end
if lane[1] ~= ARGV[1] then return redis.error_reply('EPOCH the lane is in epoch ' .. lane[1]) end
if not lane[2] or is_before(lane[2], ARGV[2]) then return redis.error_reply('GAP the floor went back to ' .. (lane[2] or 'nothing')) end
if (lane[3] or '0') ~= ARGV[3] then return redis.error_reply('RECOVERED by somebody else') end
redis.call('HINCRBY', key, 'recoveries', 1)
${publishLua(shapes, { count: 'ARGV[4]', packed: 'ARGV[5]' }, { [RECOVERED_AT]: 'ARGV[6]' })}`;

/** KEYS: the batch's streams. ARGV: the number of events, the packed events, the time. */
export const replayScript = (shapes: PackedShapes): string =>
  publishLua(shapes, { count: 'ARGV[1]', packed: 'ARGV[2]' }, { [REPLAYED_AT]: 'ARGV[3]' });
