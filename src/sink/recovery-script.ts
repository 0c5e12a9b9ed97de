import type { PackedShapes } from './packed-shapes.ts';
import { publishLua } from './publish-script.ts';

/**
 * What a recovered entry has instead of lsn, seq and committed_at, which only the WAL tells: when it was appended, ISO 8601
 * in UTC.
 */
export const RECOVERED_AT = 'recovered_at';

/** The same of an entry that `walrelay init --snapshot` made of a row that was there before the slot. */
export const SNAPSHOT_AT = 'snapshot_at';

/**
 * Appends rows of the table while no relay streams (`walrelay recover`, `walrelay init --snapshot`); `mark` says in each entry
 * which of the two it was, and when. The watermark stays where it is.
 *
 * KEYS: the batch's streams, then their lane. ARGV: epoch, fence, the number of events, the packed events, the time.
 * Answers as `publishLua` says.
 */
export const recoveryScript = (shapes: PackedShapes, mark: string): string => `
local lane = redis.call('HMGET', KEYS[#KEYS], 'epoch', 'fence')
if not lane[1] then return redis.error_reply('NOLANE the lane state is gone') end
if lane[1] ~= ARGV[1] then return redis.error_reply('EPOCH the lane is in epoch ' .. lane[1]) end
if lane[2] ~= ARGV[2] then return redis.error_reply('FENCED by session ' .. lane[2]) end
${publishLua(shapes, { count: 'ARGV[3]', packed: 'ARGV[4]' }, { [mark]: 'ARGV[5]' })}`;
