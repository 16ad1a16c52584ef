-- What the scripts share; each is sent with this in front. Reservations are hashes `r:<id>`: `h` campaign held, `k` its
-- creative, `a` amount, `e` end, `money` and `slots` what was taken, `m` and `s` whether that is still held, `c` whether
-- its impression was counted. `x` orders them by their end.
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
  for _, b in ipairs(money) do redis.call('HINCRBY', b[1], b[2], b[3]) end
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
