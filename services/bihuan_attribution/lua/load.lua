-- Takes in counted impressions while one advertiser's state is being rebuilt, and at the end declares it complete.
-- KEYS[1] at:{advertiser}:epoch. ARGV: prefix, log position that ends the loading ('' : more to come), number of
-- counters; for each: person id, bucket, entity, count, garbage seconds.
-- A counter that is higher already stays: it holds reserved slots too. Answers 0 where another loader was first.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local P, at = ARGV[1], 4
for i = 1, tonumber(ARGV[3]) do
  local key = P .. 'c:' .. ARGV[at] .. ':' .. ARGV[at + 1]
  if tonumber(redis.call('HGET', key, ARGV[at + 2]) or '0') < tonumber(ARGV[at + 3]) then
    redis.call('HSET', key, ARGV[at + 2], ARGV[at + 3])
    if ARGV[at + 4] ~= '0' then redis.call('EXPIRE', key, ARGV[at + 4]) end
  end
  at = at + 5
end
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2]) end
return 1
