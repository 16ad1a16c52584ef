-- Brings the counters of some persons to what SQL counts for them, after a change of who is who.
-- KEYS[1] at:{advertiser}:epoch. ARGV: prefix, number of resets; for each: person id, bucket, garbage seconds; then number
-- of counters; for each: person id, bucket, entity, count, garbage seconds.
-- A counter that is reset becomes what is counted and what reservations hold; any other one only rises, because it holds
-- what is reserved. Running it again changes nothing.
local P, resets, at = ARGV[1], {}, 3
for i = 1, tonumber(ARGV[2]) do
  local key = P .. 'c:' .. ARGV[at] .. ':' .. ARGV[at + 1]
  resets[key] = ARGV[at + 2]
  redis.call('DEL', key)
  at = at + 3
end
if next(resets) then
  for _, rid in ipairs(redis.call('ZRANGE', P .. 'x', 0, 9999)) do
    local r = redis.call('HMGET', P .. 'r:' .. rid, 's', 'slots')
    if r[1] == '1' then
      for _, c in ipairs(cjson.decode(r[2])) do
        if resets[c[1]] then
          redis.call('HINCRBY', c[1], c[2], 1)
          if resets[c[1]] ~= '0' then redis.call('EXPIRE', c[1], resets[c[1]]) end
        end
      end
    end
  end
end
local counters = tonumber(ARGV[at])
at = at + 1
for i = 1, counters do
  local key = P .. 'c:' .. ARGV[at] .. ':' .. ARGV[at + 1]
  if resets[key] then
    redis.call('HINCRBY', key, ARGV[at + 2], ARGV[at + 3])
  elseif tonumber(redis.call('HGET', key, ARGV[at + 2]) or '0') < tonumber(ARGV[at + 3]) then
    redis.call('HSET', key, ARGV[at + 2], ARGV[at + 3])
  end
  if ARGV[at + 4] ~= '0' then redis.call('EXPIRE', key, ARGV[at + 4]) end
  at = at + 5
end
return 1
