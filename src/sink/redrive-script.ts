import type { PackedShapes } from './packed-shapes.ts';
import { publishLua } from './publish-script.ts';
import { xaddLua } from './xadd-lua.ts';

/** When `walrelay dead-letters redrive` appended the entry: ISO 8601, UTC. It has neither lsn nor seq: it stands out of order. */
export const REDRIVEN_AT = 'redriven_at';

/**
 * Moves one dead letter to its stream, in one block: it is in one of them and never in both.
 *
 * KEYS: the event's stream, the dead-letter stream. ARGV: the packed event, the time, the letter's entry ID.
 *
 * Answers {1}, {0} when the letter is not there any more, {0, refusal} when Redis refused the entry: then it still is.
 */
export function redriveScript(shapes: PackedShapes): string {
  return `
if #redis.call('XRANGE', KEYS[2], ARGV[3], ARGV[3]) == 0 then return {0} end
local v, i = cmsgpack.unpack(ARGV[1]), 1
local pcall = redis.pcall
${xaddLua(shapes, { [REDRIVEN_AT]: 'ARGV[2]' })}
if type(reply) == 'table' then return {0, reply.err or 'ERR no reason given'} end
redis.call('XDEL', KEYS[2], ARGV[3])
return {1}
`;
}

/** Where the letter stands in another lane: the entry alone. KEYS: the event's stream. ARGV: the packed event, the time. */
export function redriveAcrossScript(shapes: PackedShapes): string {
  return publishLua(shapes, { count: '1', packed: 'ARGV[1]' }, { [REDRIVEN_AT]: 'ARGV[2]' });
}
