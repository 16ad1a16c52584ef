-- What impressions and clicks cost, and why they were not billed.

-- CPM is sold by the impression, or by the viewable impression where the terms say so that the token was sealed under:
-- the version that it names, or the newest older one, of those that were known.
CREATE TABLE triggers AS
WITH asked AS (
    SELECT position, campaign_id, terms_version, counted FROM counted
    WHERE model = 'cpm' AND kind IN ('impression', 'viewable') AND counted IS NOT NULL
        AND campaign_id IN (SELECT campaign_id FROM terms WHERE bills_viewable)
),
newest AS (SELECT campaign_id, known, max(version) AS version FROM terms GROUP BY campaign_id, known),
wanted AS (
    SELECT a.position, a.campaign_id, least(a.terms_version, n.version) AS version
    FROM asked a ASOF JOIN newest n ON n.campaign_id = a.campaign_id AND a.counted > n.known
)
SELECT w.position, coalesce(t.bills_viewable, c.bills_viewable) AS bills_viewable
FROM wanted w
ASOF LEFT JOIN terms t ON t.campaign_id = w.campaign_id AND w.version >= t.version
LEFT JOIN campaigns c ON c.campaign_id = w.campaign_id;

-- Micros per thousand are nanos each.
CREATE TABLE prices AS
SELECT c.position, CASE WHEN c.model = 'cpc' THEN 1000 * c.price_micros::HUGEINT ELSE c.price_micros::HUGEINT END AS nanos
FROM counted c LEFT JOIN triggers t ON t.position = c.position
WHERE c.counted IS NOT NULL AND c.price_micros > 0 AND (
    (c.model = 'cpc' AND c.kind = 'click')
    OR (c.model = 'cpm' AND c.kind = CASE WHEN t.bills_viewable THEN 'viewable' ELSE 'impression' END)
);

-- Findings name events that were billed when they were reported; what was not billed by then is not touched by them.
CREATE TABLE findings AS
SELECT cause, max(coalesce((body ->> 'position')::BIGINT, 9223372036854775807)) AS upto, arg_min(body -> 'told' ->> 'reason', seq) AS reason
FROM (
    SELECT seq, body, unnest(from_json(body -> 'told' -> 'events', '["VARCHAR"]')) AS cause
    FROM operations WHERE kind = 'finding'
)
GROUP BY cause;

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
        WHEN f.cause IS NOT NULL THEN concat('ivt_late_', f.reason)
        ELSE 'billed'
    END AS reason
FROM counted c
LEFT JOIN prices p ON p.position = c.position
LEFT JOIN (SELECT position, arg_min(reason, rule) AS reason FROM excess GROUP BY position) x ON x.position = c.position
LEFT JOIN campaigns k ON k.campaign_id = c.campaign_id
LEFT JOIN refusals r ON r.position = c.position
LEFT JOIN findings f ON f.cause = concat(c.kind, '/', c.token_id) AND c.counted <= f.upto;

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
