-- Sets money of some campaigns of one advertiser aside for a lease, in one atomic step; it replaces what the lease held.
-- KEYS[1] at:{advertiser}:epoch, which exists while the state is complete.
-- ARGV: prefix, now_us, expire_us, lease's reservation id, number of items; for each: campaign, day, amount in all, total
-- limit ('' none), daily limit ('' none).
-- Answers nil where the state is not complete, else for each item: outcome as in ReserveOutcome, what is set aside, and
-- what was billed out of the lease before; the two together are never more than the amount.
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local P, now, expire, rid = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local money, rkey, due = P .. 'b', P .. 'r:' .. rid, P .. 'x'
local RESERVED, BUDGET, BALANCE = 1, 3, 4

sweep(P, now)
give_back(rkey)

-- Money stays in 64-bit integers of the server: Lua sees only its sign. Takes as much of `q` as a budget has left; what it
-- has not got comes off `q` and goes back to the budgets that had it.
local function take(key, name, q, taken)
  local field = 'x' .. name
  local wanted = redis.call('HGET', rkey, q)
  if wanted == '0' then return is_open(key, name) end
  if redis.call('HINCRBY', key, field, neg(wanted)) < 0 then
    local short = redis.call('HGET', key, field)
    if redis.call('HINCRBY', rkey, q, short) <= 0 then
      redis.call('HSET', rkey, q, '0')
      redis.call('HINCRBY', key, field, wanted)
      for _, b in ipairs(taken) do redis.call('HINCRBY', b[1], b[2], wanted) end
      return false
    end
    redis.call('HSET', key, field, '0')
    for _, b in ipairs(taken) do redis.call('HINCRBY', b[1], b[2], neg(short)) end
  end
  taken[#taken + 1] = {key, field, q}
  return true
end

-- What a lease that ends has been billed for stays known: its amounts are of its whole life.
local left, used, answer, kept = {}, {}, {}, {}
for _, name in ipairs(redis.call('HKEYS', rkey)) do
  if string.sub(name, 1, 2) == 'q:' then left[#left + 1] = name end
end
for _, name in ipairs(left) do redis.call('HDEL', rkey, name) end
for i = 1, tonumber(ARGV[5]) do
  local at = 5 * i + 1
  local campaign, day, amount, total, daily = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local q, taken, outcome = 'q:' .. campaign, {}, RESERVED
  local billed = redis.call('HGET', rkey, 'u:' .. campaign) or '0'
  redis.call('HSET', rkey, q, amount)
  if redis.call('HINCRBY', rkey, q, neg(billed)) < 0 then redis.call('HSET', rkey, q, '0') end
  local is_free = amount == '0'
  if total ~= '' then
    bound(money, 't:' .. campaign, total, false)
    if not take(money, 't:' .. campaign, q, taken) then outcome = BUDGET end
  end
  if outcome == RESERVED and daily ~= '' then
    bound(P .. 'b:' .. day, campaign, daily, true)
    if not take(P .. 'b:' .. day, campaign, q, taken) then outcome = BUDGET end
  end
  if outcome == RESERVED and not is_free then
    bound(money, 'bal', '0', false)
    if not take(money, 'bal', q, taken) then outcome = BALANCE end
  end
  for _, b in ipairs(outcome == RESERVED and taken or {}) do kept[#kept + 1] = b end
  answer[#answer + 1] = outcome
  answer[#answer + 1] = redis.call('HGET', rkey, q)
  answer[#answer + 1] = billed
end
redis.call('HSET', rkey, 'e', expire, 'money', cjson.encode(kept), 'slots', '[]', 'm', #kept > 0 and '1' or '0', 's', '0')
redis.call('PERSIST', rkey)
redis.call('ZADD', due, expire, rid)
return answer
