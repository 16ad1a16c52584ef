-- What became of each event of a token: billed, or why not; and who shares in what was charged.

CREATE TABLE judged AS
SELECT c.position, c.counted, c.placement_id, c.advertiser_id, c.currency, c.received_us, coalesce(p.nanos, 0) AS nanos,
    CASE
        WHEN c.counted IS NULL AND c.received_us + pending_us() < getvariable('latest_us') THEN 'expired_impression'
        WHEN c.counted IS NULL THEN 'pending_impression'
        WHEN c.invalid <> '' THEN c.invalid
        WHEN x.reason IS NOT NULL THEN x.reason
        WHEN p.nanos IS NULL THEN 'not_billable'
        WHEN k.known IS NULL OR k.known >= c.counted THEN 'no_terms'
        WHEN k.currency <> c.currency THEN 'currency_mismatch'
        WHEN r.reason IS NOT NULL THEN r.reason
        WHEN f.position IS NOT NULL THEN concat('ivt_late_', f.reason)
        ELSE 'billed'
    END AS reason
FROM counted c
LEFT JOIN prices p ON p.position = c.position
LEFT JOIN (SELECT position, arg_min(reason, rule) AS reason FROM excess GROUP BY position) x ON x.position = c.position
LEFT JOIN campaigns k ON k.campaign_id = c.campaign_id
LEFT JOIN refusals r ON r.position = c.position
LEFT JOIN found f ON f.position = c.position;

DROP TABLE counted;

-- The publisher's share of each charge, by the terms of the placement that held when it was received.
CREATE TABLE shares AS
SELECT position, one.publisher_id AS publisher_id, ppm_part(nanos, one.share_ppm) AS nanos FROM (
    SELECT j.position, any_value(j.nanos) AS nanos,
        coalesce(
            max_by({'publisher_id': p.publisher_id, 'share_ppm': p.share_ppm}, p.version)
                FILTER (WHERE p.effective_us <= j.received_us),
            min_by({'publisher_id': p.publisher_id, 'share_ppm': p.share_ppm}, p.version)
        ) AS one
    FROM judged j JOIN placements p ON p.placement_id = j.placement_id AND p.known < j.counted
    WHERE j.reason = 'billed'
    GROUP BY j.position
)
WHERE one.publisher_id <> '';
