-- What the scripts share; each is sent with this in front. Reservations are hashes `r:<id>`: `h` campaign held, `k` its
-- creative, `a` amount, `e` end, `money` and `slots` what was taken, `m` and `s` whether that is still held, `c` whether
-- its impression was counted. `x` orders them by their end. A lease is `r:lease:<id>`; what it sets aside of a campaign
-- is in `q:<campaign>` and shrinks with what is billed, so its `money` names that field instead of an amount. `u:<campaign>`
-- is what was billed out of it, `p` the log position up to which that is so.
local function neg(s)
  if s == '0' then return s end
  if string.sub(s, 1, 1) == '-' then return string.sub(s, 2) end
  return '-' .. s
end

-- Puts back what a reservation still holds, and answers it.
local function give_back(rkey)
  local r = redis.call('HMGET', rkey, 'money', 'slots', 'm', 's')
  local money, slots = {}, {}
  if r[3] == '1' then money = cjson.decode(r[1]) end
  if r[4] == '1' then slots = cjson.decode(r[2]) end
  for _, b in ipairs(money) do
    local amount = b[3]
    if string.sub(amount, 1, 2) == 'q:' then amount = redis.call('HGET', rkey, amount) end
    redis.call('HINCRBY', b[1], b[2], amount)
  end
  for _, c in ipairs(slots) do redis.call('HINCRBY', c[1], c[2], -1) end
  return money, slots
end

-- Ends a reservation that is not wanted any more.
local function release(prefix, rid)
  local rkey = prefix .. 'r:' .. rid
  if redis.call('EXISTS', rkey) == 0 then return end
  give_back(rkey)
  redis.call('HSET', rkey, 'm', '0', 's', '0')
  redis.call('HDEL', rkey, 'h', 'c')
  redis.call('EXPIRE', rkey, 3600)
  redis.call('ZREM', prefix .. 'x', rid)
end

-- Expired reservations give back what they still hold; bounded, so that one call stays short. One whose impression was
-- counted stays known, because its decision was delivered.
local function sweep(prefix, now)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'x', '-inf', now, 'LIMIT', 0, 32)) do
    local okey = prefix .. 'r:' .. old
    if redis.call('HGET', okey, 'c') == '1' then
      give_back(okey)
      redis.call('HSET', okey, 'm', '0', 's', '0')
      redis.call('EXPIRE', okey, 3600)
    else
      release(prefix, old)
    end
    redis.call('ZREM', prefix .. 'x', old)
  end
end

-- Brings what is left of a budget to its limit of now. Budgets of a day are garbage after eight days.
local function bound(key, name, limit, is_day)
  local held = redis.call('HGET', key, 'l' .. name)
  if held == limit then return end
  if held then redis.call('HINCRBY', key, 'x' .. name, neg(held))
  else redis.call('EXPIRE', key, is_day and 691200 or 31536000) end
  redis.call('HINCRBY', key, 'x' .. name, limit)
  redis.call('HSET', key, 'l' .. name, limit)
end

-- Whether anything is left of a budget.
local function is_open(key, name)
  local left = redis.call('HGET', key, 'x' .. name) or '0'
  return left ~= '0' and string.sub(left, 1, 1) ~= '-'
end
