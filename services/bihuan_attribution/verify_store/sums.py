"""What the books sum up: balances, corrections, and counters that grow without gaps."""

from collections.abc import Iterable

import sqlalchemy as sa

from bihuan_attribution.domain.proof import MAX_FAULTS, Fault

_HEAD = """
SELECT (SELECT COALESCE(MAX(entry_id), 0) FROM entries) AS last,
       (SELECT COALESCE(MIN(entry_id), 1) FROM entries) AS first,
       (SELECT position FROM heads WHERE name = 'ledger') AS head
"""
_JOURNAL = "SELECT COUNT(*) AS count, COALESCE(MAX(seq), 0) AS last, COALESCE(MIN(seq), 1) AS first FROM operations"
_UNBOOKED = """
SELECT o.kind, o.operation_id FROM operations o
LEFT JOIN entries e ON e.cause_id = o.operation_id AND e.cause_type = o.kind
WHERE o.kind IN ('deposit', 'payout') AND e.entry_id IS NULL ORDER BY o.seq LIMIT :most
"""
_UNCHARGED = """
SELECT d.booking_id, d.date FROM booking_days d
LEFT JOIN entries e ON e.cause_type = 'booking' AND e.kind = 'charge' AND e.cause_id = d.booking_id || '/' || d.date
WHERE d.state = 4 AND e.entry_id IS NULL ORDER BY d.date, d.booking_id LIMIT :most
"""
_BALANCES = """
SELECT account, currency, SUM(posted) AS posted, SUM(balance) AS balance FROM (
  SELECT p.account AS account, e.currency AS currency, p.amount_nanos AS posted, 0 AS balance
  FROM postings p JOIN entries e ON e.entry_id = p.entry_id
  UNION ALL SELECT account, currency, 0, balance_nanos FROM accounts
) AS sides GROUP BY account, currency HAVING SUM(posted) <> SUM(balance) ORDER BY account, currency LIMIT :most
"""
_LIMITS = """
SELECT account, currency, balance_nanos, limit_nanos FROM accounts
WHERE balance_nanos > limit_nanos OR (account LIKE 'advertiser:prepaid:%' AND limit_nanos <> 0)
ORDER BY account, currency LIMIT :most
"""
_CURRENCIES = """
SELECT account, COUNT(*) AS currencies FROM accounts WHERE account LIKE 'advertiser:%'
GROUP BY account HAVING COUNT(*) > 1 ORDER BY account LIMIT :most
"""
# Estimates are corrected on the estimated account before they are payable, and on those that pay afterwards.
_CORRECTIONS = """
SELECT r.corrects_entry_id AS corrected, MIN(r.entry_id) AS first, SUM(-p.amount_nanos) AS back,
       MAX(c.entry_id) AS held,
       (SELECT SUM(q.amount_nanos) FROM postings q
        WHERE q.entry_id = r.corrects_entry_id AND q.account LIKE 'advertiser:%') AS whole
FROM entries r JOIN postings p ON p.entry_id = r.entry_id AND p.account LIKE 'advertiser:%'
LEFT JOIN entries c ON c.entry_id = r.corrects_entry_id
WHERE r.corrects_entry_id <> 0 GROUP BY r.corrects_entry_id ORDER BY r.corrects_entry_id
"""
# A click is put out of its span for good: it is credited once, and wholly, under its own name.
_CREDITS = """
SELECT r.entry_id FROM entries r LEFT JOIN entries c ON c.entry_id = r.corrects_entry_id AND c.kind = 'charge'
WHERE r.kind = 'ivt_credit' AND (c.entry_id IS NULL OR c.entry_id >= r.entry_id
  OR (r.cause_type = 'event' AND r.cause_id <> c.cause_id)) ORDER BY r.entry_id LIMIT :most
"""
_UNCORRECTING = """
SELECT entry_id FROM entries WHERE kind = 'reversal' AND corrects_entry_id = 0 ORDER BY entry_id LIMIT :most
"""
_MOST = {"most": MAX_FAULTS}


def head_faults(connection: sa.Connection) -> Iterable[Fault]:
    """Entries that are missing at the ledger's end, or were put there without being numbered."""
    row = connection.execute(sa.text(_HEAD)).one()
    if row.last < row.head:
        yield Fault("gap", row.last + 1, f"{row.last + 1} to {row.head} are missing: {row.head} were numbered")
    if row.last > row.head:
        yield Fault("gap", row.head + 1, f"{row.head + 1} to {row.last} were never numbered")
    if row.first < 1:
        yield Fault("gap", row.first, "entries are numbered from 1 on")


def journal_faults(connection: sa.Connection) -> Iterable[Fault]:
    """Operations that are missing, and deposits, payouts and charged days that no entry books."""
    row = connection.execute(sa.text(_JOURNAL)).one()
    if (row.count, row.first) != (row.last, 1):
        yield Fault("journal", 0, f"{row.count} operations are numbered {row.first} to {row.last}")
    for row in connection.execute(sa.text(_UNBOOKED), _MOST):
        yield Fault("cause", 0, f"{row.kind} {row.operation_id} has no entry")
    for row in connection.execute(sa.text(_UNCHARGED), _MOST):
        yield Fault("cause", 0, f"booked day {row.booking_id}/{row.date} is charged and has no entry")


def account_faults(connection: sa.Connection) -> Iterable[Fault]:
    """Balances that are not the sum of their postings, or are beyond their limit."""
    for row in connection.execute(sa.text(_BALANCES), _MOST):
        detail = f"{row.account} holds {int(row.balance)} {row.currency}; its postings sum to {int(row.posted)}"
        yield Fault("account_balance", 0, detail)
    for row in connection.execute(sa.text(_LIMITS), _MOST):
        detail = f"{row.account} holds {row.balance_nanos} {row.currency} and may hold {row.limit_nanos}"
        yield Fault("account_limit", 0, detail)
    for row in connection.execute(sa.text(_CURRENCIES), _MOST):
        yield Fault("account_currency", 0, f"{row.account} is in {row.currencies} currencies")


def correction_faults(connection: sa.Connection) -> Iterable[Fault]:
    """Corrections of what does not exist, and of more than was booked."""
    with connection.execute(sa.text(_CORRECTIONS), execution_options={"yield_per": 1_000}) as corrections:
        for row in corrections:
            if row.held is None or row.first <= row.corrected:
                yield Fault("correction", row.first, f"corrects {row.corrected}, which is no entry before it")
            elif row.back > (row.whole or 0):
                detail = f"{int(row.back)} was taken back of {int(row.whole or 0)}"
                yield Fault("correction", row.corrected, detail)
    for row in connection.execute(sa.text(_CREDITS), _MOST):
        yield Fault("correction", row.entry_id, "is the credit of no charge before it")
    for row in connection.execute(sa.text(_UNCORRECTING), _MOST):
        yield Fault("correction", row.entry_id, "reverses nothing")
