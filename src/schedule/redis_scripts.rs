//! The scripts of a schedule's lock and history in Redis.
//!
//! `redis_store` sends them.
//! Invariant: each script is one step: it checks the fencing token and writes, or writes nothing.
//! Slots are compared as texts of one width; times are numbers of ms, far below 2^53.
//!
//! Keys of a job, in this order: the lease (a text, `TOKEN MACHINE`, which expires), the last
//! token, the state (a hash: `slot`, `outcome`, and while a run goes on `running`: `TOKEN ENTRY`),
//! the history (a list, newest first).

/// Claims a slot. Arguments: the slot's digits (empty: by hand), when it is due, the lease in ms,
/// the machine, the entry, the number of entries that are kept.
///
/// A token counts on from the last one. If Redis has lost that, it counts on from its clock, which
/// is ahead of any number of runs.
pub(super) const ACQUIRE: &str = r"#!lua
local slot, machine = ARGV[1], ARGV[4]
local last = redis.call('HGET', KEYS[3], 'slot')
if slot ~= '' and last and last >= slot then return {'taken'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if slot ~= '' and tonumber(ARGV[2]) > now then
  return {'early', string.format('%.0f', ARGV[2] - now)}
end
local holder = redis.call('GET', KEYS[1])
if holder then return {'busy', string.match(holder, '^%d+ (.*)$') or holder} end
local outcome = redis.call('HGET', KEYS[3], 'outcome') or ''
local lost = redis.call('HGET', KEYS[3], 'running') or ''
if lost ~= '' then
  redis.call('LPUSH', KEYS[4], 'lost ' .. lost)
  redis.call('LTRIM', KEYS[4], 0, ARGV[6] - 1)
  redis.call('HSET', KEYS[3], 'outcome', 'lost')
end
local token = redis.call('INCR', KEYS[2])
if token == 1 then
  token = now
  redis.call('SET', KEYS[2], string.format('%.0f', token))
end
token = string.format('%.0f', token)
redis.call('SET', KEYS[1], token .. ' ' .. machine, 'PX', ARGV[3])
redis.call('HSET', KEYS[3], 'running', token .. ' ' .. ARGV[5])
if slot ~= '' then redis.call('HSET', KEYS[3], 'slot', slot) end
return {'held', token, outcome, lost}
";

/// Renews a lease. Arguments: the token, the lease in ms.
pub(super) const RENEW: &str = r"#!lua
local holder = redis.call('GET', KEYS[1])
if not holder or string.match(holder, '^%d+') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
";

/// Writes an entry, and goes on with the next or releases the lease. Arguments: the token, the
/// entry, the number of entries that are kept, its outcome if it is a verdict, the next entry
/// (empty: release).
pub(super) const RECORD: &str = r"#!lua
local holder = redis.call('GET', KEYS[1])
if not holder or string.match(holder, '^%d+') ~= ARGV[1] then return 0 end
redis.call('LPUSH', KEYS[4], ARGV[2])
redis.call('LTRIM', KEYS[4], 0, ARGV[3] - 1)
if ARGV[4] ~= '' then redis.call('HSET', KEYS[3], 'outcome', ARGV[4]) end
if ARGV[5] == '' then
  redis.call('HDEL', KEYS[3], 'running')
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[3], 'running', ARGV[1] .. ' ' .. ARGV[5])
end
return 1
";

/// Writes the entry of a skipped slot. Arguments: the token, the entry, the number of entries that
/// are kept, the digits of the slot up to which none can be claimed any more (empty: unchanged).
pub(super) const SKIP: &str = r"#!lua
local holder = redis.call('GET', KEYS[1])
if not holder or string.match(holder, '^%d+') ~= ARGV[1] then return 0 end
local last = redis.call('HGET', KEYS[3], 'slot')
if not last or last < ARGV[4] then redis.call('HSET', KEYS[3], 'slot', ARGV[4]) end
redis.call('LPUSH', KEYS[4], ARGV[2])
redis.call('LTRIM', KEYS[4], 0, ARGV[3] - 1)
return 1
";
