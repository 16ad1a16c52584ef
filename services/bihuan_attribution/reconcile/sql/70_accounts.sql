-- What every account must hold: a debit is positive, a credit negative. `charged` marks what is paid for advertising.

CREATE TABLE moves (account VARCHAR, currency VARCHAR, nanos HUGEINT, charged BOOLEAN);

-- Impressions and clicks: the advertiser pays, platform and publisher share.
INSERT INTO moves
SELECT concat('advertiser:', advertiser_id), currency, sum(nanos), true FROM judged WHERE reason = 'billed'
GROUP BY ALL;
INSERT INTO moves
SELECT 'platform:revenue', j.currency, sum(coalesce(s.nanos, 0) - j.nanos), false
FROM judged j LEFT JOIN shares s ON s.position = j.position WHERE j.reason = 'billed' GROUP BY ALL;
INSERT INTO moves
SELECT concat('publisher:payable:', s.publisher_id), j.currency, -sum(s.nanos), false
FROM shares s JOIN judged j ON j.position = s.position GROUP BY ALL;

-- Commissions: estimated from paid on, payable from completed on, when platform and promoter share them.
INSERT INTO moves
SELECT concat('advertiser:estimated:', advertiser_id), currency, sum(kept_nanos), true
FROM settled WHERE reason = 'billed' AND NOT is_completed GROUP BY ALL;
INSERT INTO moves
SELECT 'platform:estimated', currency, -sum(kept_nanos), false
FROM settled WHERE reason = 'billed' AND NOT is_completed GROUP BY ALL;
INSERT INTO moves
SELECT concat('advertiser:', advertiser_id), currency, sum(kept_nanos), true
FROM settled WHERE reason = 'billed' AND is_completed GROUP BY ALL;
INSERT INTO moves
SELECT concat('promoter:payable:', promoter_id), currency, -sum(ppm_part(kept_nanos, promoter_share_ppm)), false
FROM settled WHERE reason = 'billed' AND is_completed AND promoter_id <> '' GROUP BY ALL;
INSERT INTO moves
SELECT 'platform:revenue', currency,
    sum(CASE WHEN promoter_id <> '' THEN ppm_part(kept_nanos, promoter_share_ppm) ELSE 0 END - kept_nanos), false
FROM settled WHERE reason = 'billed' AND is_completed GROUP BY ALL;

-- What moved money and is no event. A kind that is not named here is in the ledger only, and so shows as a difference.
CREATE TABLE amounts AS
SELECT kind, body ->> 'advertiser_id' AS advertiser_id, body ->> 'account' AS account, body ->> 'currency' AS currency,
    (body ->> 'amount_nanos')::HUGEINT AS nanos, body ->> 'payee' AS payee,
    coalesce((body ->> 'share_nanos')::HUGEINT, 0) AS share_nanos
FROM operations;

INSERT INTO moves
SELECT 'platform:cash', currency, sum(nanos), false FROM amounts WHERE kind = 'deposit' GROUP BY ALL
UNION ALL
SELECT concat('advertiser:', advertiser_id), currency, -sum(nanos), false FROM amounts WHERE kind = 'deposit' GROUP BY ALL
UNION ALL
SELECT account, currency, sum(nanos), false FROM amounts WHERE kind = 'payout' GROUP BY ALL
UNION ALL
SELECT 'platform:cash', currency, -sum(nanos), false FROM amounts WHERE kind = 'payout' GROUP BY ALL
UNION ALL
SELECT concat('advertiser:', advertiser_id), currency, sum(nanos), true FROM amounts WHERE kind = 'booking_day' GROUP BY ALL
UNION ALL
SELECT 'platform:revenue', currency, sum(share_nanos - nanos), false FROM amounts WHERE kind = 'booking_day' GROUP BY ALL
UNION ALL
SELECT payee, currency, -sum(share_nanos), false FROM amounts WHERE kind = 'booking_day' AND payee <> '' GROUP BY ALL
UNION ALL
SELECT concat('advertiser:', advertiser_id), currency, sum(nanos), true FROM amounts WHERE kind = 'invoice' GROUP BY ALL
UNION ALL
SELECT 'platform:rounding', currency, -sum(nanos), false FROM amounts WHERE kind = 'invoice' GROUP BY ALL;
