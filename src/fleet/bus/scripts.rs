//! The scripts that a coordinator runs on the bus; agents need none.
//!
//! `client` and `poll` send them.
//! Invariant: scripts compare texts of fixed width, never numbers: Lua's have 53 bits. They name
//! all their keys, so they also run in a cluster.

/// Writes the control record if all conditions hold.
///
/// Keys: the record, then the heartbeats of each limit. Arguments: the digits of the expected
/// revision (empty for none), those of the instance (the first 16 of `run_id`), the deadline, the
/// channel, the expiry, the record; then, for each limit, its incarnation and its time. The bound
/// of a member is [`Heartbeat::bound_of`](crate::fleet::protocol::Heartbeat::bound_of).
pub(super) const WRITE_CONTROL: &str = r"#!lua
local function digits(text) return string.rep('0', 20 - #text) .. text end
if redis.call('GETRANGE', KEYS[1], 0, 39) ~= ARGV[1] then return 0 end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if not run_id or string.sub(run_id, 1, 16) ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = digits(time[1] .. string.rep('0', 6 - #time[2]) .. time[2] .. '000')
if now > ARGV[3] then return 0 end
for i = 2, #KEYS do
  local incarnation, from = ARGV[2 * i + 3], ARGV[2 * i + 4]
  local top = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)[1]
  if not top then return 0 end
  local newest = digits(string.match(top[1], '^(%d+)-'))
  if incarnation > newest then return 0 end
  local wanted = incarnation == newest and 'h' or 'p'
  local bound = ''
  for at = 1, #top[2] - 1, 2 do
    if top[2][at] == wanted then bound = top[2][at + 1] break end
  end
  if #bound ~= 20 or string.find(bound, '%D') or bound > from then return 0 end
end
redis.call('SET', KEYS[1], ARGV[6], 'EX', ARGV[5])
redis.call('PUBLISH', ARGV[4], '')
return 1
";

/// Writes the snapshot if the leader still leads, and it is newer than the one there.
///
/// Keys: the control record, the snapshot. Arguments: the digits of the leader's token, those of
/// the snapshot's number, the expiry, the snapshot.
pub(super) const WRITE_SNAPSHOT: &str = r"#!lua
if redis.call('GETRANGE', KEYS[1], 0, 19) ~= ARGV[1] then return 0 end
local number = redis.call('GETRANGE', KEYS[2], 0, 19)
if number ~= '' and number >= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[3])
return 1
";

/// Reads everything that the coordinator follows, within a number of bytes. A transaction could not
/// bound them: it does not know how long the values are.
///
/// Keys: the control record, the heartbeats, then the stream and the final state of each member.
/// Arguments: the number of heartbeats, the maximum length of a record, of an entry with a
/// heartbeat and of a frame, the most frames of a stream, the bytes in all, then for each stream
/// the id after which entries are wanted. Replies with time, `run_id`, record, heartbeats, and for
/// each stream: whether it was read in part, ids and frames in turn, the final state. A value that
/// is too long, or of another type, is an empty text.
pub(super) const POLL: &str = r"#!lua flags=no-writes
local beats, most_control, most_beat, most_frame, most, budget = tonumber(ARGV[1]),
  tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local function length(key)
  local length = redis.pcall('STRLEN', key)
  return type(length) == 'number' and length or -1
end
local function value(key, length, most)
  if length < 0 or length > most then return '' end
  return redis.call('GET', key)
end
local function newest(key)
  local entries = redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if entries.err then return '' end
  local entry = entries[1]
  if not entry then return false end
  local length = 0
  for _, text in ipairs(entry[2]) do length = length + #text end
  if length > most_beat then return {entry[1], {}} end
  return entry
end
local function frame_of(fields)
  for at = 1, #fields - 1, 2 do
    if fields[at] == 'f' and #fields[at + 1] <= most_frame then return fields[at + 1] end
  end
  return ''
end
local function stream(key, last, after)
  local frames, count, from = {}, 0, '(' .. after .. '-18446744073709551615'
  while true do
    local entries = redis.pcall('XRANGE', key, from, '+', 'COUNT', 1)
    if entries.err or not entries[1] then break end
    if count == most or budget <= 0 then return {1, frames, false} end
    local id, frame = entries[1][1], frame_of(entries[1][2])
    count, budget, from = count + 1, budget - #frame - 100, '(' .. id
    frames[#frames + 1] = id
    frames[#frames + 1] = frame
  end
  local length = length(last)
  if length > 0 and length <= most_frame then
    if budget <= 0 then return {1, frames, false} end
    budget = budget - length
  end
  return {0, frames, value(last, length, most_frame)}
end
local tops, streams = {}, {}
for i = 1, beats do tops[i] = newest(KEYS[1 + i]) end
for i = 1, #ARGV - 6 do
  streams[i] = stream(KEYS[beats + 2 * i], KEYS[beats + 2 * i + 1], ARGV[6 + i])
end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
local control = value(KEYS[1], length(KEYS[1]), most_control)
return {redis.call('TIME'), run_id, control, tops, streams}
";
