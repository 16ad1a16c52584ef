-- Ends a reservation of one advertiser before its time. KEYS[1] at:{advertiser}:epoch. ARGV: prefix, reservation id.
release(ARGV[1], ARGV[2])
return 1
