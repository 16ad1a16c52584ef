-- When each event of a token was counted: at its own position, or at that of the impression it waited for.

CREATE TABLE begins AS
SELECT token_id, position, received_us, signal FROM ads WHERE begins;

-- `counted` is null while an event waits. `invalid` says why it is no traffic of people, by itself and its impression.
CREATE TABLE counted AS
SELECT e.*,
    CASE
        WHEN e.counted IS NULL THEN ''
        WHEN e.signal <> '' THEN e.signal
        WHEN e.begins OR e.kind = 'impression' THEN ''
        WHEN e.begin_signal <> '' THEN 'ivt_invalid_impression'
        WHEN e.kind = 'click' AND abs(e.received_us - e.begin_us) < l.min_click_delay_us THEN 'ivt_too_fast'
        ELSE ''
    END AS invalid
FROM (
    SELECT a.*, b.signal AS begin_signal, b.received_us AS begin_us,
        CASE
            WHEN a.begins OR a.kind = 'impression' THEN a.position
            WHEN b.received_us - a.received_us <= pending_us() THEN greatest(a.position, b.position)
        END AS counted
    FROM ads a LEFT JOIN begins b ON b.token_id = a.token_id
) e
LEFT JOIN limits l ON e.counted > l.after_position AND e.counted <= l.until_position;

DROP TABLE ads;
DROP TABLE begins;

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
