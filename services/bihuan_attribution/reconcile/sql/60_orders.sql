-- Commissions of orders: to the last CPS click that an order met inside its window.

-- An order meets a click when the later of the two was billed: by the click's id, or by who was who at that position.
CREATE TABLE buyers AS
SELECT o.position, o.advertiser_id, o.order_id, o.currency, o.ordered_us, o.click_id, o.person_id, o.sighting_id,
    coalesce(c.circle, o.person_id) AS circle
FROM opened o LEFT JOIN circles c ON c.person_id = o.person_id AND c.sighting_id = o.sighting_id;

CREATE TABLE met AS
WITH cps AS (
    SELECT k.*, coalesce(c.circle, k.person_id) AS circle
    FROM clicks k LEFT JOIN circles c ON c.person_id = k.person_id AND c.sighting_id = k.sighting_id
    WHERE k.model = 'cps'
),
pairs AS (
    SELECT o.position AS order_position, k.token_id, k.campaign_id, k.touched_us, k.promoter_id,
        greatest(o.position, k.counted) AS position, o.ordered_us, 0 AS one_person, 0 AS one_sighting,
        0 AS other_person, 0 AS other_sighting, true AS named
    FROM buyers o JOIN cps k ON k.token_id = o.click_id AND k.advertiser_id = o.advertiser_id
    WHERE o.click_id <> '' AND k.touched_us <= o.ordered_us
    UNION ALL
    SELECT o.position, k.token_id, k.campaign_id, k.touched_us, k.promoter_id,
        greatest(o.position, k.counted), o.ordered_us, o.person_id, o.sighting_id, k.person_id, k.sighting_id, false
    FROM buyers o JOIN cps k ON k.circle = o.circle AND k.advertiser_id = o.advertiser_id
    WHERE o.person_id > 0 AND k.person_id > 0 AND k.touched_us <= o.ordered_us
        AND o.ordered_us - k.touched_us < (SELECT max(click_window_us) FROM terms)
)
SELECT p.order_position, p.token_id, p.campaign_id, p.touched_us, p.promoter_id, p.position, p.ordered_us
FROM pairs p
LEFT JOIN who a ON a.person_id = p.one_person AND a.sighting_id = p.one_sighting
    AND p.position > a.after_position AND p.position <= a.until_position
LEFT JOIN who b ON b.person_id = p.other_person AND b.sighting_id = p.other_sighting
    AND p.position > b.after_position AND p.position <= b.until_position
WHERE p.named OR (
    coalesce(a.who, p.one_person) = coalesce(b.who, p.other_person) AND coalesce(a.who, p.one_person) > 0
);

-- Half-open windows, by the terms in force at the click, of those that were known when the two met.
CREATE TABLE winners AS
SELECT order_position, token_id, campaign_id, touched_us, promoter_id, position FROM (
    SELECT m.order_position, m.token_id, m.campaign_id, m.touched_us, m.promoter_id, m.position, m.ordered_us,
        coalesce(
            max_by(t.click_window_us, t.version) FILTER (WHERE t.effective_us <= m.touched_us),
            min_by(t.click_window_us, t.version)
        ) AS window_us
    FROM met m JOIN terms t ON t.campaign_id = m.campaign_id AND t.known < m.position
    GROUP BY ALL
)
WHERE ordered_us < touched_us + window_us
QUALIFY row_number() OVER (PARTITION BY order_position ORDER BY touched_us DESC, token_id DESC) = 1;

-- Reports beside the order that they are of, null while they are parked.
CREATE TABLE applied AS
SELECT r.position, r.kind, r.status, r.items, o.position AS order_position, r.currency <> o.currency AS is_other_currency
FROM reports r LEFT JOIN opened o ON o.advertiser_id = r.advertiser_id AND o.order_id = r.order_id;

-- Stages only go up.
CREATE TABLE stages AS
SELECT order_position,
    min(greatest(position, order_position)) FILTER (WHERE status IN ('paid', 'completed')) AS paid_position,
    coalesce(bool_or(status = 'completed'), false) AS is_completed,
    coalesce(bool_or(status = 'cancelled'), false) AS is_cancelled
FROM applied WHERE kind <> 'refund' AND NOT is_other_currency
GROUP BY order_position;

-- The terms that a commission was opened by: those in force at its click, of those known when the order was paid and
-- had met it.
CREATE TABLE commissions AS
SELECT w.order_position, w.promoter_id, w.campaign_id,
    coalesce(max(t.version) FILTER (WHERE t.effective_us <= w.touched_us), min(t.version)) AS version
FROM winners w
JOIN stages s ON s.order_position = w.order_position AND s.paid_position IS NOT NULL
JOIN terms t ON t.campaign_id = w.campaign_id AND t.known < greatest(w.position, s.paid_position)
GROUP BY w.order_position, w.promoter_id, w.campaign_id;

-- Lines of one item are taken together; its tags are those of its first line.
CREATE TABLE bought AS
SELECT order_position, line.item_id AS item_id, sum(line.paid_micros::HUGEINT) AS paid_micros,
    arg_min(line.tags, rank) AS tags
FROM (
    SELECT position AS order_position, generate_subscripts(items, 1) AS rank, unnest(items) AS line FROM opened
)
GROUP BY order_position, line.item_id;

CREATE TABLE returned AS
SELECT order_position, position, rank, line.item_id AS item_id, line.paid_micros::HUGEINT AS back_micros,
    coalesce(sum(line.paid_micros::HUGEINT) OVER (
        PARTITION BY order_position, line.item_id ORDER BY position, rank ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) AS before_micros
FROM (
    SELECT order_position, position, generate_subscripts(items, 1) AS rank, unnest(items) AS line FROM applied
    WHERE kind = 'refund' AND order_position IS NOT NULL AND NOT is_other_currency
);

-- An item's own rate, else that of its first tag that has one, else the campaign's.
CREATE TABLE item_rates AS
WITH items AS (
    SELECT c.order_position, c.campaign_id, c.version, b.item_id, b.tags
    FROM commissions c JOIN bought b ON b.order_position = c.order_position
),
own AS (
    SELECT i.order_position, i.item_id, min_by(r.rate_ppm, r.rank) AS rate_ppm
    FROM items i JOIN rates r ON r.campaign_id = i.campaign_id AND r.version = i.version AND r.item_id = i.item_id
    WHERE r.item_id <> '' GROUP BY i.order_position, i.item_id
),
tagged AS (
    SELECT order_position, campaign_id, version, item_id, generate_subscripts(tags, 1) AS tag_rank, unnest(tags) AS tag FROM items
),
general AS (
    SELECT i.order_position, i.item_id, min_by(r.rate_ppm, (i.tag_rank, r.rank)) AS rate_ppm
    FROM tagged i JOIN rates r ON r.campaign_id = i.campaign_id AND r.version = i.version
        AND concat('category:', r.category) = i.tag
    WHERE r.category <> '' GROUP BY i.order_position, i.item_id
)
SELECT i.order_position, i.item_id, coalesce(o.rate_ppm, g.rate_ppm, t.commission_rate_ppm) AS rate_ppm
FROM items i
JOIN terms t ON t.campaign_id = i.campaign_id AND t.version = i.version
LEFT JOIN own o ON o.order_position = i.order_position AND o.item_id = i.item_id
LEFT JOIN general g ON g.order_position = i.order_position AND g.item_id = i.item_id;

-- The commission on what was paid and did not come back, rounded by item; what comes back is at most what was paid.
CREATE TABLE earned AS
SELECT b.order_position,
    sum(ppm_part(1000 * b.paid_micros, i.rate_ppm)) AS gross_nanos,
    sum(ppm_part(1000 * (b.paid_micros - least(b.paid_micros, coalesce(r.back_micros, 0))), i.rate_ppm)) AS kept_nanos
FROM bought b
JOIN item_rates i ON i.order_position = b.order_position AND i.item_id = b.item_id
LEFT JOIN (SELECT order_position, item_id, sum(back_micros) AS back_micros FROM returned GROUP BY ALL) r
    ON r.order_position = b.order_position AND r.item_id = b.item_id
GROUP BY b.order_position;

-- `reason` says what became of the order as a whole.
CREATE TABLE settled AS
SELECT o.position AS order_position, o.advertiser_id, o.currency, c.promoter_id, t.promoter_share_ppm, s.is_completed,
    e.kept_nanos,
    CASE
        WHEN s.paid_position IS NULL THEN 'unpaid_order'
        WHEN s.is_cancelled THEN 'cancelled_order'
        WHEN c.order_position IS NULL THEN 'unmatched'
        WHEN t.currency <> o.currency THEN 'currency_mismatch'
        WHEN coalesce(e.gross_nanos, 0) = 0 THEN 'not_billable'
        ELSE 'billed'
    END AS reason
FROM opened o
LEFT JOIN stages s ON s.order_position = o.position
LEFT JOIN commissions c ON c.order_position = o.position
LEFT JOIN terms t ON t.campaign_id = c.campaign_id AND t.version = c.version
LEFT JOIN earned e ON e.order_position = o.position;
