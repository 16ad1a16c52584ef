"""Metrics of the data plane, beside those of `bihuan_shared.metrics`. Labels are bounded names, never ids."""

from prometheus_client import Counter, Gauge

DECISIONS = Counter(
    "bihuan_placement_decisions_total",
    "Placements decided, by result: `shown` or the reason why nothing is.",
    ("result",),
)
DEGRADED = Counter(
    "bihuan_decisions_degraded_total",
    "Decisions that went on without an answer of a hop: identity, profile, audience, scoring or budget.",
    ("hop",),
)
DECISIONS_PRUNED = Counter("bihuan_decisions_pruned_total", "Stored decisions that grew too old and were deleted.")
BUDGET_ANSWERS = Counter(
    "bihuan_budget_answers_total",
    "Budget questions of decisions, by step (validate, reserve) by what answered (lease, call); and failed leases.",
    ("step", "source"),
)
BEACONS = Counter(
    "bihuan_beacons_total",
    "Beacons, by kind and what became of them: an outcome of attribution, `spooled`, `refused` or `invalid`.",
    ("kind", "outcome"),
)
CONSENT_STRINGS = Counter(
    "bihuan_consent_strings_total",
    "Consent strings, by form (tcf, gpp, us_privacy) and outcome: `read` or why one was refused; equal ones of a batch "
    "count once.",
    ("form", "outcome"),
)
BEHAVIOUR_EVENTS = Counter("bihuan_behaviour_events_total", "Behaviour events, by outcome.", ("outcome",))
ACTION_EVENTS = Counter("bihuan_action_events_total", "Engagements and leads, by outcome.", ("outcome",))
ORDER_EVENTS = Counter("bihuan_order_events_total", "Orders, updates and refunds, by outcome.", ("outcome",))
SPOOL_BYTES = Gauge("bihuan_spool_bytes", "Bytes on disk that attribution has not taken yet.")
SPOOL_CUT_BYTES = Counter("bihuan_spool_cut_bytes_total", "Bytes cut from the spool because they were torn or damaged.")
SPOOL_DRAINED = Counter("bihuan_spool_drained_total", "Spooled events that were handed over, by outcome.", ("outcome",))
DECISION_RECORDS_DROPPED = Counter(
    "bihuan_decision_records_dropped_total", "Decision records that the lake got no room for, by cause.", ("cause",)
)
