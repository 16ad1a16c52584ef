-- Takes the first of some candidates of one advertiser that has money and slots, in one atomic step.
-- KEYS[1] at:{advertiser}:epoch, which exists while the state is complete.
-- ARGV: prefix, now_us, expire_us, reservation id, validate (0|1), person id (0: no caps), number of candidates; then
-- for each: index, campaign, day, amount, total limit ('' none), daily limit ('' none), number of slots, and for each
-- slot: bucket, entity, most ('0': counted only), garbage seconds.
-- Answers nil where the state is not complete, else {expire_us or '', outcome...}; outcomes as in ReserveOutcome.
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local P, now, expire, rid, validate, person = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1', ARGV[6]
local money, rkey, due = P .. 'b', P .. 'r:' .. rid, P .. 'x'
local RESERVED, CAPPED, BUDGET, BALANCE = 1, 2, 3, 4

local function neg(s)
  if s == '0' then return s end
  if string.sub(s, 1, 1) == '-' then return string.sub(s, 2) end
  return '-' .. s
end

-- Expired reservations give back what they still hold; bounded, so that one call stays short.
for _, old in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, 32)) do
  local okey = P .. 'r:' .. old
  local r = redis.call('HMGET', okey, 'money', 'slots', 'm', 's')
  if r[3] == '1' then
    for _, b in ipairs(cjson.decode(r[1])) do redis.call('HINCRBY', b[1], b[2], b[3]) end
  end
  if r[4] == '1' then
    for _, c in ipairs(cjson.decode(r[2])) do redis.call('HINCRBY', c[1], c[2], -1) end
  end
  redis.call('HSET', okey, 'm', '0', 's', '0')
  redis.call('EXPIRE', okey, 3600)
  redis.call('ZREM', due, old)
end

-- Money stays in 64-bit integers of the server: Lua sees only its sign.
local function take(key, name, limit, amount, taken)
  if limit == '' then return true end
  local held = redis.call('HGET', key, 'l' .. name)
  if held ~= limit then
    if held then redis.call('HINCRBY', key, 'x' .. name, neg(held)) else redis.call('EXPIRE', key, key == money and 31536000 or 691200) end
    redis.call('HINCRBY', key, 'x' .. name, limit)
    redis.call('HSET', key, 'l' .. name, limit)
  end
  if amount == '0' then
    local left = redis.call('HGET', key, 'x' .. name) or '0'
    return left ~= '0' and string.sub(left, 1, 1) ~= '-'
  end
  if redis.call('HINCRBY', key, 'x' .. name, '-' .. amount) < 0 then
    redis.call('HINCRBY', key, 'x' .. name, amount)
    return false
  end
  taken[#taken + 1] = {key, 'x' .. name, amount}
  return true
end

local function try(campaign, day, amount, total, daily, slots)
  for _, s in ipairs(slots) do
    if s[3] > 0 and tonumber(redis.call('HGET', s[1], s[2]) or '0') >= s[3] then return CAPPED end
  end
  local taken, outcome = {}, RESERVED
  if not take(money, 't:' .. campaign, total, amount, taken) then outcome = BUDGET
  elseif not take(P .. 'b:' .. day, campaign, daily, amount, taken) then outcome = BUDGET
  elseif amount ~= '0' and not take(money, 'bal', '0', amount, taken) then outcome = BALANCE end
  if outcome ~= RESERVED or validate then
    for _, b in ipairs(taken) do redis.call('HINCRBY', b[1], b[2], b[3]) end
    return outcome
  end
  local kept = {}
  for i, s in ipairs(slots) do
    redis.call('HINCRBY', s[1], s[2], 1)
    if s[4] ~= '0' then redis.call('EXPIRE', s[1], s[4]) end
    kept[i] = {s[1], s[2]}
  end
  redis.call('HSET', rkey, 'money', cjson.encode(taken), 'slots', cjson.encode(kept), 'm', #taken > 0 and '1' or '0',
    's', #kept > 0 and '1' or '0', 'e', expire)
  redis.call('ZADD', due, expire, rid)
  return RESERVED
end

local answer, at = {''}, 8
for i = 1, tonumber(ARGV[7]) do
  local index, campaign, day, amount, total, daily = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local slots, count = {}, tonumber(ARGV[at + 6])
  at = at + 7
  for j = 1, count do
    if person ~= '0' then
      slots[#slots + 1] = {P .. 'c:' .. person .. ':' .. ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]}
    end
    at = at + 4
  end
  local outcome = not validate and tonumber(redis.call('HGET', rkey, 'o' .. index) or '0') or 0
  if outcome == 0 then
    outcome = try(campaign, day, amount, total, daily, slots)
    if not validate then
      redis.call('HSET', rkey, 'o' .. index, outcome)
      if outcome == RESERVED then redis.call('PERSIST', rkey) else redis.call('EXPIRE', rkey, 3600) end
    end
  end
  answer[i + 1] = outcome
  if outcome == RESERVED and not validate then
    answer[1] = redis.call('HGET', rkey, 'e')
    break
  end
end
return answer
