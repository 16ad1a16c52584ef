"""What the gateway answers about settled books, as far as the commands show it."""

import msgspec

PAGE_SIZE = 100


class Fault(msgspec.Struct):
    """Something that must not be; the entry is 0 where it is none."""

    invariant: str
    entry_id: int
    detail: str


class Proof(msgspec.Struct):
    """The answer of `GET /v1/ledger/verification`."""

    entry_count: int
    head_hash: str
    faults: list[Fault]
    next_after_entry_id: int = 0


class Posting(msgspec.Struct):
    """One side of an entry."""

    account: str
    amount_nanos: int


class Entry(msgspec.Struct):
    """An entry of the ledger."""

    entry_id: int
    kind: str
    cause_type: str
    cause_id: str
    currency: str
    entry_time: str
    book_time: str
    period: str
    adjustment: bool
    postings: list[Posting]
    decision_id: str


class TracedEvent(msgspec.Struct):
    """An event on the way from an entry to what it rests on."""

    event_type: str
    event_id: str
    log_position: int
    receive_time: str
    event_time: str
    token: str
    token_verified: bool
    decision_id: str
    price_micros: int
    campaign_id: str
    creative_id: str
    placement_id: str


class Trace(msgspec.Struct):
    """The answer of `GET /v1/ledger/entries/{entry_id}/trace`."""

    entry: Entry
    related: list[Entry]
    order_id: str
    booking_day: str
    events: list[TracedEvent]
    gaps: list[str]


class Period(msgspec.Struct):
    """A month in UTC."""

    period: str
    state: str
    close_time: str | None
    last_entry_id: int
    head_hash: str


class Line(msgspec.Struct):
    """One line of an invoice."""

    campaign_id: str
    pricing_model: str
    adjustment: bool
    amount_nanos: int
    rounded_nanos: int
    entry_count: int


class Invoice(msgspec.Struct):
    """What an advertiser owes for a closed period."""

    invoice_id: str
    advertiser_id: str
    period: str
    currency: str
    lines: list[Line]
    total_nanos: int
    prepaid_nanos: int
    issue_time: str
    rounding_entry_id: int


class Closed(msgspec.Struct):
    """The answer of `POST /v1/periods/{period}/close`."""

    period: Period
    invoices: list[Invoice]


class InvoicePage(msgspec.Struct):
    """The answer of `GET /v1/invoices`."""

    invoices: list[Invoice]
    next_page_token: str = ""
