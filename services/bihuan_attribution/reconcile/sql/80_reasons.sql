-- Why each event was not billed; every event of the log has one reason, or is `billed`.

CREATE TABLE reasons AS
SELECT reason, count(*) AS events FROM judged GROUP BY reason
UNION ALL
SELECT reason, count(*) FROM (
    SELECT CASE
            WHEN a.order_position IS NULL THEN 'parked'
            WHEN a.is_other_currency THEN 'currency_mismatch'
            WHEN f.fault IS NOT NULL THEN f.fault
            ELSE s.reason
        END AS reason
    FROM applied a
    LEFT JOIN settled s ON s.order_position = a.order_position
    LEFT JOIN (
        -- Of several faults of one refund the last line's stands.
        SELECT r.position, arg_max(
                CASE WHEN b.item_id IS NULL THEN 'refund_unknown_item' ELSE 'refund_above_paid' END, r.rank
            ) AS fault
        FROM returned r
        LEFT JOIN bought b ON b.order_position = r.order_position AND b.item_id = r.item_id
        WHERE b.item_id IS NULL OR r.back_micros > greatest(0, b.paid_micros - r.before_micros)
        GROUP BY r.position
    ) f ON f.position = a.position
) GROUP BY reason
UNION ALL
SELECT 'not_billable', count(DISTINCT log_position) FROM lake_events
WHERE log_position <= getvariable('upto') AND event_type IN ('engagement', 'lead');
