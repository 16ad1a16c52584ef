-- Brings one advertiser's state to what was billed: reservations end, slots become counted, spent sums are replaced.
-- KEYS[1] at:{advertiser}:epoch.
-- ARGV: prefix, version, number of events; for each: reservation id, part of it ('' all: it is no lease), campaign, token
-- id, log position, counts slots (0|1), ends money (0|1), person id, number of slots, and for each slot: bucket, entity,
-- garbage seconds; then number of sums; for each: day ('' for the whole life), name, spent nanos. Sums of an older
-- version are left out.
-- Answers 0 where the state is not complete, else 1. Running it again changes nothing.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return 0 end
local P, version, money, due = ARGV[1], ARGV[2], ARGV[1] .. 'b', ARGV[1] .. 'x'

local function count(person, slots)
  if person == '0' then return end
  for _, s in ipairs(slots) do
    local key = P .. 'c:' .. person .. ':' .. s[1]
    redis.call('HINCRBY', key, s[2], 1)
    if s[3] ~= '0' then redis.call('EXPIRE', key, s[3]) end
  end
end

-- What was reserved under an id that the person had before goes back; its impression counts for the person of now.
local function is_anothers(person, slots)
  local own = P .. 'c:' .. person .. ':'
  return person ~= '0' and #slots > 0 and string.sub(slots[1][1], 1, #own) ~= own
end

-- Takes a billed part out of a lease. Each advertiser's events come in the order of the log, so what is at or below the
-- position of the last one was taken out before. A part that exceeds what is set aside gives back only that.
local function use(rkey, campaign, part, position)
  local lease = redis.call('HMGET', rkey, 'm', 'p', 'money')
  if not lease[1] or position <= tonumber(lease[2] or '0') then return end
  local name, excess = 'q:' .. campaign, nil
  redis.call('HSET', rkey, 'p', position)
  redis.call('HINCRBY', rkey, 'u:' .. campaign, part)
  if lease[1] ~= '1' then return end
  if redis.call('HINCRBY', rkey, name, neg(part)) < 0 then
    excess = redis.call('HGET', rkey, name)
    redis.call('HSET', rkey, name, '0')
  end
  for _, b in ipairs(cjson.decode(lease[3])) do
    if b[3] == name then
      redis.call('HINCRBY', b[1], b[2], part)
      if excess then redis.call('HINCRBY', b[1], b[2], excess) end
    end
  end
end

local at = 4
for i = 1, tonumber(ARGV[3]) do
  local rid, part, campaign, token, position = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local counts, ends, person, n = ARGV[at + 5] == '1', ARGV[at + 6] == '1', ARGV[at + 7], tonumber(ARGV[at + 8])
  local slots = {}
  at = at + 9
  for j = 1, n do
    slots[j] = {ARGV[at], ARGV[at + 1], ARGV[at + 2]}
    at = at + 3
  end
  local rkey = P .. 'r:' .. rid
  if part ~= '' then
    if ends then use(rkey, campaign, part, position) end
    rid = ''
  end
  local r = rid ~= '' and redis.call('HMGET', rkey, 'h', 'm', 's', 'c', 'money', 'slots') or {false}
  -- What ended, or went over to another campaign, is not this event's reservation any more.
  if r[1] == campaign then
    if counts and r[4] ~= '1' then
      if r[3] == '1' and is_anothers(person, cjson.decode(r[6])) then
        for _, c in ipairs(cjson.decode(r[6])) do redis.call('HINCRBY', c[1], c[2], -1) end
        r[3] = '0'
      end
      if r[3] ~= '1' then count(person, slots) end
      redis.call('HSET', rkey, 's', '0', 'c', '1')
      r[3] = '0'
    end
    if ends and r[2] == '1' then
      for _, b in ipairs(cjson.decode(r[5])) do redis.call('HINCRBY', b[1], b[2], b[3]) end
      redis.call('HSET', rkey, 'm', '0')
      r[2] = '0'
    end
    if r[2] ~= '1' and r[3] ~= '1' then
      redis.call('ZREM', due, rid)
      redis.call('EXPIRE', rkey, 3600)
    end
  elseif counts and n > 0 and position > tonumber(epoch) then
    if redis.call('SET', P .. 'i:' .. token, '1', 'NX', 'EX', 86400) then count(person, slots) end
  end
end

local held = tonumber(redis.call('HGET', money, 'v') or '0')
if tonumber(version) < held then return 1 end
redis.call('HSET', money, 'v', version)
local sums = tonumber(ARGV[at])
at = at + 1
for i = 1, sums do
  local key, name, spent = money, ARGV[at + 1], ARGV[at + 2]
  if ARGV[at] ~= '' then key = P .. 'b:' .. ARGV[at] end
  local before = redis.call('HGET', key, 's' .. name)
  if before then redis.call('HINCRBY', key, 'x' .. name, before) end
  redis.call('HINCRBY', key, 'x' .. name, neg(spent))
  redis.call('HSET', key, 's' .. name, spent)
  if key ~= money then redis.call('EXPIRE', key, 691200) end
  at = at + 3
end
return 1
