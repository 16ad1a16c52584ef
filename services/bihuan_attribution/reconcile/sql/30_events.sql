-- Events of the log up to the position that is compared.

CREATE TABLE ads AS
SELECT
    log_position AS position, event_type AS kind, token_id, campaign_id, creative_id, placement_id, advertiser_id,
    terms_version, pricing_model AS model, price_micros, currency, promoter_id,
    receive_time_us AS received_us, event_time_us AS touched_us,
    person_id, sighting_id, coalesce(address_hash, 0) AS address_hash,
    -- A promoter's link is not shown: its click is where everything begins.
    event_type = CASE WHEN promoter_id <> '' THEN 'click' ELSE 'impression' END AS begins,
    CASE
        WHEN known_bot THEN 'ivt_known_bot'
        WHEN prefetch THEN 'ivt_prefetch'
        WHEN data_centre THEN 'ivt_data_centre'
        ELSE ''
    END AS signal
FROM lake_events
WHERE log_position <= getvariable('upto') AND event_type IN ('impression', 'viewable', 'click', 'landing');

-- Reports of orders; lines of a refund say what comes back.
CREATE TABLE reports AS
SELECT
    log_position AS position, event_type AS kind, advertiser_id, order_id, order_currency AS currency,
    order_status AS status, order_time_us AS ordered_us, click_id, person_id, sighting_id, items
FROM lake_events
WHERE log_position <= getvariable('upto') AND event_type IN ('order', 'order_update', 'refund');
