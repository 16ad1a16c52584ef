-- Too many clicks of one hour: only the first ones by (time, token) are billable, whatever sequence they came in.

CREATE TABLE clicks AS
SELECT c.position, c.counted, c.token_id, c.creative_id, c.placement_id, c.campaign_id, c.advertiser_id, c.model,
    c.promoter_id, c.received_us, c.touched_us, c.person_id, c.sighting_id, c.address_hash,
    coalesce(w.who, c.person_id) AS who,
    coalesce(l.clicks_per_creative, 0) AS clicks_per_creative,
    coalesce(l.clicks_per_person, 0) AS clicks_per_person,
    coalesce(l.clicks_per_address, 0) AS clicks_per_address
FROM counted c
LEFT JOIN limits l ON c.counted > l.after_position AND c.counted <= l.until_position
LEFT JOIN who w ON w.person_id = c.person_id AND w.sighting_id = c.sighting_id
    AND c.counted > w.after_position AND c.counted <= w.until_position
WHERE c.kind = 'click' AND c.counted IS NOT NULL AND c.invalid = '';

CREATE TABLE spans AS
SELECT 1 AS rule, 'ivt_repeated_click' AS reason, concat_ws(':', who, creative_id, hour_of(received_us)) AS span,
    clicks_per_creative AS most, position, counted, received_us, token_id
FROM clicks WHERE who > 0 AND clicks_per_creative > 0
UNION ALL
SELECT 2, 'ivt_person_rate', concat_ws(':', who, hour_of(received_us)),
    clicks_per_person, position, counted, received_us, token_id
FROM clicks WHERE who > 0 AND clicks_per_person > 0
UNION ALL
SELECT 3, 'ivt_address_rate', concat_ws(':', address_hash, placement_id, hour_of(received_us)),
    clicks_per_address, position, counted, received_us, token_id
FROM clicks WHERE address_hash > 0 AND clicks_per_address > 0;

-- Spans during which the limits were changed have to be gone through click by click; that is done outside.
CREATE TABLE mixed_spans AS
SELECT rule, span FROM spans GROUP BY rule, span HAVING min(most) <> max(most);

CREATE TABLE excess (position BIGINT, rule INTEGER, reason VARCHAR);

INSERT INTO excess
SELECT position, rule, reason FROM (
    SELECT *, row_number() OVER (PARTITION BY rule, span ORDER BY received_us, token_id) AS rank
    FROM spans ANTI JOIN mixed_spans USING (rule, span)
)
WHERE rank > most;
