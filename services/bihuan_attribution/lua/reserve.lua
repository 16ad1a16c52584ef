-- Takes the first of some candidates of one advertiser that has money and slots, in one atomic step.
-- KEYS[1] at:{advertiser}:epoch, which exists while the state is complete.
-- ARGV: prefix, now_us, expire_us, reservation id, validate (0|1), person id (0: no caps), number of candidates; then
-- for each: campaign, creative, day, amount, total limit ('' none), daily limit ('' none), number of slots, and for
-- each slot: bucket, entity, most ('0': counted only), garbage seconds.
-- Answers nil where the state is not complete, else {expire_us or '', outcome...}; outcomes as in ReserveOutcome.
-- A campaign that the reservation holds already is the answer wherever it stands; one that is no candidate any more is
-- given back first. While validating, what the reservation holds counts as free.
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local P, now, expire, rid, validate, person = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1', ARGV[6]
local money, rkey, due = P .. 'b', P .. 'r:' .. rid, P .. 'x'
local UNSEEN, RESERVED, CAPPED, BUDGET, BALANCE = 0, 1, 2, 3, 4

sweep(P, now)

-- Money stays in 64-bit integers of the server: Lua sees only its sign.
local function take(key, name, limit, amount, taken)
  if limit == '' then return true end
  bound(key, name, limit, key ~= money)
  if amount == '0' then return is_open(key, name) end
  if redis.call('HINCRBY', key, 'x' .. name, '-' .. amount) < 0 then
    redis.call('HINCRBY', key, 'x' .. name, amount)
    return false
  end
  taken[#taken + 1] = {key, 'x' .. name, amount}
  return true
end

local function try(one)
  for _, s in ipairs(one.slots) do
    if s[3] > 0 and tonumber(redis.call('HGET', s[1], s[2]) or '0') >= s[3] then return CAPPED end
  end
  local taken, outcome = {}, RESERVED
  if not take(money, 't:' .. one.campaign, one.total, one.amount, taken) then outcome = BUDGET
  elseif not take(P .. 'b:' .. one.day, one.campaign, one.daily, one.amount, taken) then outcome = BUDGET
  elseif one.amount ~= '0' and not take(money, 'bal', '0', one.amount, taken) then outcome = BALANCE end
  if outcome ~= RESERVED or validate then
    for _, b in ipairs(taken) do redis.call('HINCRBY', b[1], b[2], b[3]) end
    return outcome
  end
  local kept = {}
  for i, s in ipairs(one.slots) do
    redis.call('HINCRBY', s[1], s[2], 1)
    if s[4] ~= '0' then redis.call('EXPIRE', s[1], s[4]) end
    kept[i] = {s[1], s[2]}
  end
  redis.call('HSET', rkey, 'h', one.campaign, 'k', one.creative, 'a', one.amount, 'e', expire,
    'money', cjson.encode(taken), 'slots', cjson.encode(kept), 'm', #taken > 0 and '1' or '0', 's', #kept > 0 and '1' or '0')
  redis.call('PERSIST', rkey)
  redis.call('ZADD', due, expire, rid)
  return RESERVED
end

local candidates, at = {}, 8
for i = 1, tonumber(ARGV[7]) do
  local one = {campaign = ARGV[at], creative = ARGV[at + 1], day = ARGV[at + 2], amount = ARGV[at + 3],
    total = ARGV[at + 4], daily = ARGV[at + 5], slots = {}}
  local count = tonumber(ARGV[at + 6])
  at = at + 7
  for j = 1, count do
    if person ~= '0' then
      one.slots[j] = {P .. 'c:' .. person .. ':' .. ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]}
    end
    at = at + 4
  end
  candidates[i] = one
end

local own = redis.call('HMGET', rkey, 'h', 'e', 'c', 'k', 'a')
local holds = own[1] and (own[3] == '1' or tonumber(own[2]) > tonumber(now))

-- The candidate that is held: of several of its campaign the one that is most like what was set aside.
local function held_index()
  local best, found = -1, nil
  for i, one in ipairs(candidates) do
    local likeness = (one.creative == own[4] and 2 or 0) + (one.amount == own[5] and 1 or 0)
    if one.campaign == own[1] and likeness > best then best, found = likeness, i end
  end
  return found
end

local function only(index, ends)
  local answer = {ends}
  for i = 1, index - 1 do answer[i + 1] = UNSEEN end
  answer[index + 1] = RESERVED
  return answer
end

if validate then
  local taken, kept = {}, {}
  if holds then taken, kept = give_back(rkey) end
  local answer = {''}
  for i, one in ipairs(candidates) do
    local outcome = try(one)
    answer[i + 1] = holds and one.campaign == own[1] and RESERVED or outcome
  end
  for _, b in ipairs(taken) do redis.call('HINCRBY', b[1], b[2], neg(b[3])) end
  for _, c in ipairs(kept) do redis.call('HINCRBY', c[1], c[2], 1) end
  return answer
end

local index = holds and held_index()
if index and candidates[index].creative == own[4] then return only(index, own[2]) end
if own[1] then release(P, rid) end
-- Another creative of the held campaign counts elsewhere: the reservation moves to it.
if index and try(candidates[index]) == RESERVED then return only(index, expire) end
local answer = {''}
for i, one in ipairs(candidates) do
  answer[i + 1] = try(one)
  if answer[i + 1] == RESERVED then
    answer[1] = expire
    break
  end
end
return answer
