"""What happens to a stream's memory in Redis, each as one script: it happens as a whole or not at all.

The ledger is a hash: `head`, `fence` (older epochs are refused), `epoch` and `batch` (of the last commit), `events` (the last
sequence), `kept_bytes`, and `s:<order>` for each segment. Visual tokens lie in a hash of their own by the same order. Every
check comes before the first write: a script that fails halfway would not be undone.
"""

from __future__ import annotations

COMMIT = """
local epoch, batch, first, last = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local replace, head, at = ARGV[5] == '1', ARGV[6], 13
local function take(width)
  local items, count = {}, tonumber(ARGV[at])
  for i = 1, count * width do items[i] = ARGV[at + i] end
  at = at + count * width + 1
  return items
end
local removed, segments, kept, events = take(1), take(2), take(2), take(1)

if redis.call('EXISTS', KEYS[4]) == 0 then return {'unknown'} end
local known = redis.call('HMGET', KEYS[1], 'fence', 'epoch', 'batch', 'events', 'kept_bytes')
local fence, old_epoch, old_batch = tonumber(known[1] or 0), tonumber(known[2] or 0), tonumber(known[3] or 0)
local written, kept_bytes = tonumber(known[4] or 0), tonumber(known[5] or 0)
local leased = tonumber(redis.call('HGET', KEYS[5], 'epoch') or 0)
local noted = tonumber(redis.call('HGET', KEYS[4], 'decoder_epoch') or 0)
if epoch < fence or epoch < leased or epoch < noted then return {'lost'} end
if epoch == old_epoch and batch == old_batch then return {'again', old_epoch, old_batch} end
if not ((epoch == old_epoch and batch == old_batch + 1) or (epoch > old_epoch and batch == 1)) then
  return {'missing', old_epoch, old_batch}
end
if first ~= written + 1 or last ~= written + #events then return {'sequence', written} end
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
if newest and #events > 0 and tonumber(string.match(newest[1], '^%d+')) >= first then return {'sequence', newest[1]} end

local num_segments = replace and 0 or redis.call('HLEN', KEYS[1])
if replace then kept_bytes = 0 end
for i = 1, #removed do kept_bytes = kept_bytes - redis.call('HSTRLEN', KEYS[2], removed[i]) end
for i = 2, #kept, 2 do kept_bytes = kept_bytes + #kept[i] end
if num_segments + #segments / 2 - #removed > tonumber(ARGV[10]) or kept_bytes > tonumber(ARGV[11]) then return {'full'} end

if replace then redis.call('DEL', KEYS[1], KEYS[2]) end
for i = 1, #removed do
  redis.call('HDEL', KEYS[1], 's:' .. removed[i])
  redis.call('HDEL', KEYS[2], removed[i])
end
for i = 1, #segments, 2 do redis.call('HSET', KEYS[1], 's:' .. segments[i], segments[i + 1]) end
for i = 1, #kept, 2 do redis.call('HSET', KEYS[2], kept[i], kept[i + 1]) end
redis.call('HSET', KEYS[1], 'head', head, 'fence', epoch, 'epoch', epoch, 'batch', batch, 'events', last,
  'kept_bytes', kept_bytes)
for i = 1, #events do
  local entry = {'XADD', KEYS[3], 'MAXLEN', ARGV[9], string.format('%d-0', first + i - 1), 'p', events[i]}
  if ARGV[12] ~= '' then entry[8], entry[9] = 'traceparent', ARGV[12] end
  redis.call(unpack(entry))
end
redis.call('HSET', KEYS[4], 'decoder_epoch', epoch, 'decided_sequence', ARGV[7], 'decided_pts_ns', ARGV[8],
  'event_sequence', last)
return {'written', old_epoch, old_batch}
"""
"""Keys: ledger, kept, events, registry entry, lease. Arguments: epoch, batch, first and last sequence of the events, whether
everything is replaced, the head, sequence and pts_ns of the last settled frame, most events, most fields of the ledger, most
bytes of visual tokens, traceparent; then four lists, each behind its length: removed orders, segments (order, bytes), visual
tokens (order, bytes), events."""

LOAD = """
if redis.call('EXISTS', KEYS[3]) == 0 then return {'unknown'} end
local epoch = tonumber(ARGV[1])
local fence = tonumber(redis.call('HGET', KEYS[1], 'fence') or 0)
local leased = tonumber(redis.call('HGET', KEYS[4], 'epoch') or 0)
if epoch < fence or epoch < leased then return {'lost'} end
local newest = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
local told = math.max(tonumber(redis.call('HGET', KEYS[1], 'events') or 0),
  newest and tonumber(string.match(newest[1], '^%d+')) or 0)
redis.call('HSET', KEYS[1], 'fence', epoch, 'events', string.format('%d', told))
return {'found', redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])}
"""
"""Keys: ledger, kept, registry entry, lease, events. From then on epochs below the argument are refused. A ledger that was lost
goes on behind the events that are there."""
