-- Events of tokens, and when each of them was counted: at its own position, or at that of the impression it waited for.

CREATE TABLE ads AS
SELECT
    log_position AS position, event_type AS kind, token_id, campaign_id, creative_id, placement_id, advertiser_id,
    terms_version, pricing_model AS model, price_micros, currency, promoter_id,
    receive_time_us AS received_us, event_time_us AS touched_us,
    person_id, sighting_id, coalesce(address_hash, 0) AS address_hash,
    -- A promoter's link is not shown: its click is where everything begins.
    event_type = 'impression' OR (event_type = 'click' AND promoter_id <> '') AS begins,
    CASE
        WHEN known_bot THEN 'ivt_known_bot'
        WHEN prefetch THEN 'ivt_prefetch'
        WHEN data_centre THEN 'ivt_data_centre'
        ELSE ''
    END AS signal
FROM lake_events
WHERE log_position <= getvariable('upto') AND event_type IN ('impression', 'viewable', 'click', 'landing');

-- A range that was written twice, by a lake of another layout, counts once.
DELETE FROM ads WHERE getvariable('repeated') AND rowid NOT IN (SELECT min(rowid) FROM ads GROUP BY position);

CREATE TABLE begins AS
SELECT token_id, min(position) AS position, arg_min(received_us, position) AS received_us,
    arg_min(signal, position) AS signal
FROM ads WHERE begins GROUP BY token_id;

-- `counted` is null while an event waits. `invalid` says why it is no traffic of people, by itself and its impression.
CREATE TABLE counted AS
SELECT e.*,
    CASE
        WHEN e.counted IS NULL THEN ''
        WHEN e.signal <> '' THEN e.signal
        WHEN e.begins THEN ''
        WHEN e.begin_signal <> '' THEN 'ivt_invalid_impression'
        WHEN e.kind = 'click' AND abs(e.received_us - e.begin_us) < l.min_click_delay_us THEN 'ivt_too_fast'
        ELSE ''
    END AS invalid
FROM (
    SELECT a.*, b.signal AS begin_signal, b.received_us AS begin_us,
        CASE
            WHEN a.begins THEN a.position
            WHEN b.received_us - a.received_us <= pending_us() THEN greatest(a.position, b.position)
        END AS counted
    FROM ads a LEFT JOIN begins b ON b.token_id = a.token_id
) e
LEFT JOIN limits l ON e.counted > l.after_position AND e.counted <= l.until_position;

DROP TABLE ads;
DROP TABLE begins;

-- Reports of orders; lines of a refund say what comes back.
CREATE TABLE reports AS
SELECT
    log_position AS position, event_type AS kind, advertiser_id, order_id, order_currency AS currency,
    order_status AS status, order_time_us AS ordered_us, click_id, person_id, sighting_id, items
FROM lake_events
WHERE log_position <= getvariable('upto') AND event_type IN ('order', 'order_update', 'refund');

DELETE FROM reports WHERE getvariable('repeated') AND rowid NOT IN (SELECT min(rowid) FROM reports GROUP BY position);

-- An order is what the first event of that type says; what came before it is parked until then.
CREATE TABLE opened AS
SELECT DISTINCT ON (advertiser_id, order_id) * FROM reports WHERE kind = 'order'
ORDER BY advertiser_id, order_id, position;

-- Who was told of whom, where it matters for money.
CREATE TABLE told AS
SELECT DISTINCT person_id, sighting_id FROM (
    SELECT person_id, sighting_id FROM counted WHERE kind = 'click' AND counted IS NOT NULL AND person_id > 0
    UNION ALL
    SELECT person_id, sighting_id FROM opened WHERE person_id > 0
);
