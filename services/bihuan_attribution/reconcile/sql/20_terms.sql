-- What was agreed, and from which position of billing on it was known: what stands above `known` was billed with it.

CREATE TABLE terms AS
SELECT DISTINCT ON (campaign_id, version)
    campaign_id, version, billing_position AS known, effective_time_us AS effective_us, currency, bills_viewable,
    click_window_us, commission_rate_ppm, promoter_share_ppm, commission_rates
FROM lake_terms;

-- A campaign keeps its currency, so its first version tells that it is known at all, and in which currency.
CREATE TABLE campaigns AS
SELECT campaign_id, min(known) AS known, arg_min(currency, version) AS currency,
    arg_min(bills_viewable, version) AS bills_viewable
FROM terms GROUP BY campaign_id;

-- Rates below the campaign's own: [item, category, rate], in their order.
CREATE TABLE rates AS
SELECT campaign_id, version, rank, one ->> 0 AS item_id, one ->> 1 AS category, (one ->> 2)::BIGINT AS rate_ppm
FROM (
    SELECT campaign_id, version, generate_subscripts(list, 1) AS rank, unnest(list) AS one
    FROM (
        SELECT campaign_id, version, from_json(commission_rates, '["JSON"]') AS list
        FROM terms WHERE commission_rates NOT IN ('', '[]')
    )
);

-- Placements of publishers; one that never was anybody's shares nothing.
CREATE TABLE placements AS
SELECT DISTINCT ON (placement_id, version)
    placement_id, version, billing_position AS known, effective_time_us AS effective_us, publisher_id,
    revenue_share_ppm AS share_ppm
FROM lake_placements
WHERE placement_id IN (SELECT placement_id FROM lake_placements WHERE publisher_id <> '');

-- Limits of invalid traffic by position; the first ones also hold for what was billed before anybody noted them.
CREATE TABLE limits AS
SELECT
    CASE WHEN row_number() OVER by_seq = 1 THEN -1 ELSE position END AS after_position,
    coalesce(lead(position) OVER by_seq, 9223372036854775807) AS until_position,
    (content ->> 'min_click_delay_us')::BIGINT AS min_click_delay_us,
    (content ->> 'clicks_per_creative')::BIGINT AS clicks_per_creative,
    (content ->> 'clicks_per_person')::BIGINT AS clicks_per_person,
    (content ->> 'clicks_per_address')::BIGINT AS clicks_per_address
FROM (SELECT DISTINCT ON (seq) seq, position, content FROM lake_traffic_limits)
WINDOW by_seq AS (ORDER BY seq);

-- What ran over a budget or a balance: the only thing that is taken from billing, because it depends on the order in
-- which budgets were met.
CREATE TABLE refusals AS
SELECT position, min(reason) AS reason FROM lake_refusals
WHERE noted_position <= getvariable('upto') AND reason IN ('over_budget', 'over_balance')
GROUP BY position;

CREATE TABLE operations AS
SELECT DISTINCT ON (seq) seq, kind, operation_id, time_us, body FROM lake_operations
WHERE seq <= getvariable('last_operation');
