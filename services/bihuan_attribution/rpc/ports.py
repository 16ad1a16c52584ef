"""What the service works with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bihuan_attribution.use_cases.figure_audit import FigureAuditor
from bihuan_attribution.use_cases.keep_days import BookingDays
from bihuan_attribution.use_cases.leads import Leads
from bihuan_attribution.use_cases.learn_channels import ChannelWeights
from bihuan_attribution.use_cases.lease_budgets import Leaser
from bihuan_attribution.use_cases.order_paths import OrderPaths
from bihuan_attribution.use_cases.ports import Budgets, Ledger, Payables, TermsStore
from bihuan_attribution.use_cases.put_terms import TermsView
from bihuan_attribution.use_cases.reconcile_ports import Auditor
from bihuan_attribution.use_cases.record_events import Recorder
from bihuan_attribution.use_cases.report_invalid_traffic import Findings, SpentSums
from bihuan_attribution.use_cases.report_ports import OrderFiles, Reports
from bihuan_attribution.use_cases.reserve_budget import Reserver
from bihuan_attribution.use_cases.settlement_ports import Settlement
from bihuan_shared.clock import Clock


@dataclass(frozen=True, slots=True)
class Ports:
    """What the methods of the service are given."""

    clock: Clock
    recorder: Recorder
    reserver: Reserver
    leaser: Leaser
    terms_store: TermsStore
    terms: TermsView
    budgets: Budgets
    ledger: Ledger
    reports: Reports
    orders: OrderFiles
    paths: OrderPaths
    weights: ChannelWeights
    auditor: Auditor
    payables: Payables
    settlement: Settlement
    days: BookingDays
    figure_auditor: FigureAuditor
    push_balance: Callable[[str], Awaitable[None]]
    findings: Findings
    spent: SpentSums
    leads: Leads


class Served:
    """A part of the service: methods over the same ports."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
