import { CHECK_HOLDER } from './append-script.ts';

/**
 * One step of trimming: looks where the consumer groups stand and cuts off what is behind all of them, in one block. So
 * nobody reads, claims or creates a group in between; and since Redis keeps its log and its replicas in order, a server
 * that comes back without its last writes has lost the trim before it loses an acknowledgement that the trim relied on.
 *
 * KEYS: lane, stream. ARGV: epoch, fence, `safe` or `even-unread`, the length and the age in ms to keep ('' for none), how
 * many entries may go, 1 where XTRIM is to be tried with ACKED, the first and the last entry as an earlier step of this
 * round saw them ('' for none), then the groups that don't count.
 *
 * Only ever cuts at the head, and never the newest entry: audit and recover conclude from the first entry of a stream that
 * whatever came later still stands. That is why ACKED gets the same threshold: with a later one it would make holes,
 * which nothing in XINFO tells of.
 *
 * Answers {removed, length, first entry, last entry, 1 where ACKED is known, Redis's clock in ms, number of groups that
 * count, slowest group, the oldest entry that it has not acknowledged, how many it holds, how many it has not read}.
 * Of the last four all but the first are told in the first step only; '' and -1 stand for nothing and for unknown.
 */
export const TRIM_SCRIPT = `${CHECK_HOLDER}
local key, is_safe = KEYS[2], ARGV[3] == 'safe'
local length_max, age_max, step = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local has_acked, first, last = ARGV[7] == '1', ARGV[8], ARGV[9]
local is_first_step = first == ''
local length = redis.pcall('XLEN', key)
if type(length) == 'table' then return redis.error_reply(length.err) end
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local clock = string.format('%.0f', now_ms)
if length == 0 then return {0, 0, '', '', has_acked and 1 or 0, clock, 0, '', '', -1, -1} end

local function fields(list)
  local map = {}
  for f = 1, #list, 2 do map[list[f]] = list[f + 1] end
  return map
end

-- IDs are two numbers of 64 bits, and Lua's numbers are doubles: compared in pieces of ten digits.
local function is_before(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)%-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)%-(%d+)$')
  for _, pair in ipairs({{a_ms, b_ms}, {a_seq, b_seq}}) do
    local x, y = pair[1], pair[2]
    x = string.rep('0', 20 - #x) .. x
    y = string.rep('0', 20 - #y) .. y
    for i = 1, 11, 10 do
      local p, q = tonumber(string.sub(x, i, i + 9)), tonumber(string.sub(y, i, i + 9))
      if p ~= q then return p < q end
    end
  end
  return false
end

if is_first_step then
  -- Once a round: it copies the payloads of both.
  local info = fields(redis.call('XINFO', 'STREAM', key))
  first, last = info['first-entry'][1], info['last-entry'][1]
end

-- What is before this may go, if it is due.
local bound, slowest, slowest_pending, slowest_info = last, '', nil, nil
local groups = 0
if is_safe then
  local ignored = {}
  for i = 10, #ARGV do ignored[ARGV[i]] = true end
  for _, list in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local group = fields(list)
    if not ignored[group['name']] then
      groups = groups + 1
      local reached = group['last-delivered-id']
      -- From the first entry on: what was trimmed or deleted can't be read any more, whoever still holds it.
      local pending = redis.call('XPENDING', key, group['name'], first, '+', 1)[1]
      pending = pending and pending[1]
      if pending and is_before(pending, reached) then reached = pending end
      if slowest == '' or is_before(reached, bound) then
        slowest, slowest_pending, slowest_info = group['name'], pending, group
        if is_before(reached, bound) then bound = reached end
      end
    end
  end
  if groups == 0 then return {0, length, first, last, has_acked and 1 or 0, clock, 0, '', '', -1, -1} end
end

local removed = 0
local function cut(threshold, limit)
  if limit < 1 then return end
  local reply
  if is_safe and has_acked then
    reply = redis.pcall('XTRIM', key, 'MINID', '~', threshold, 'LIMIT', limit, 'ACKED')
    if type(reply) == 'table' and string.find(reply.err or '', 'syntax error', 1, true) then
      has_acked, reply = false, nil
    end
  end
  reply = reply or redis.call('XTRIM', key, 'MINID', '~', threshold, 'LIMIT', limit)
  if type(reply) == 'table' then return reply end
  removed = removed + reply
end

local failure
if age_max then
  local oldest = string.format('%.0f-0', math.max(0, now_ms - age_max))
  failure = cut(is_before(oldest, bound) and oldest or bound, step)
end
-- By a number of entries and not by MAXLEN, which knows nothing of the groups.
if length_max and not failure then
  failure = cut(bound, math.min(step - removed, length - removed - length_max))
end
if failure then return redis.error_reply(failure.err) end

local unread, holds, behind = '', -1, -1
if is_first_step and slowest_info then
  if slowest_pending and slowest_pending == bound then
    unread = slowest_pending
  else
    local next_entry = redis.call('XRANGE', key, '(' .. slowest_info['last-delivered-id'], '+', 'COUNT', 1)[1]
    if next_entry then unread = next_entry[1] end
    if slowest_pending and (unread == '' or is_before(slowest_pending, unread)) then unread = slowest_pending end
  end
  holds = slowest_info['pending']
  if type(slowest_info['lag']) == 'number' then behind = slowest_info['lag'] end
end
return {removed, length - removed, first, last, has_acked and 1 or 0, clock, groups, slowest, unread, holds, behind}
`;
