-- What impressions and clicks cost by their tokens, and what was found out about them late.

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

-- Findings name events, and how far billing was: they give back what was charged by then, and leave everything else.
CREATE TABLE findings AS
SELECT cause, seq, upto, reason
FROM (
    SELECT seq, (body ->> 'position')::BIGINT AS upto, body -> 'told' ->> 'reason' AS reason,
        unnest(from_json(body -> 'told' -> 'events', '["VARCHAR"]')) AS cause
    FROM operations WHERE kind = 'finding'
);

CREATE TABLE found AS
SELECT c.position, min(f.upto) AS upto, arg_min(f.reason, f.seq) AS reason
FROM findings f
JOIN counted c ON f.cause = concat(c.kind, '/', c.token_id) AND c.counted <= f.upto
GROUP BY c.position;

-- An impression that was given back is none for what is counted later.
UPDATE counted SET invalid = 'ivt_invalid_impression'
FROM (
    SELECT i.token_id, f.upto
    FROM found f
    JOIN counted i ON i.position = f.position AND i.kind = 'impression' AND i.begins AND i.invalid = ''
    JOIN prices p ON p.position = i.position
    JOIN campaigns k ON k.campaign_id = i.campaign_id AND k.known < i.counted AND k.currency = i.currency
    ANTI JOIN refusals r ON r.position = i.position
) late
WHERE counted.token_id = late.token_id AND counted.counted > late.upto AND NOT counted.begins
    AND counted.kind <> 'impression' AND counted.invalid IN ('', 'ivt_too_fast');
