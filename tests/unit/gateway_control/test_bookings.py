"""Bookings through the HTTP API: made, repeated, taken back, refused, and sealed from other tenants."""

import asyncio
from typing import Any

import pytest

from bihuan_gateway.control.booking_relay import BookingRelay
from bihuan_gateway.control.bookings import BookedDate, Booking, BookingSpec
from bihuan_shared.clock import DAY_US, HOUR_US, SystemClock, format_rfc3339
from bihuan_shared.errors import FailedPrecondition, FieldViolation, Unavailable
from tests.unit.gateway_control.outsiders import Api, FakeBookings, Outsiders, campaign

RATE = 5_000_000


def day(after: int) -> str:
    """A date so many days from now, in UTC."""
    return format_rfc3339(SystemClock().now_us() + after * DAY_US)[:10]


def bid(**changes: object) -> dict[str, object]:
    body: dict[str, object] = {"campaign_id": "d1", "placement_id": "p1", "start_date": day(5), "end_date": day(6)}
    return body | changes


@pytest.fixture
async def sold(admin: Api, tree: dict[str, object]) -> Api:
    """The tree of `acme` with a CPD campaign `d1`, another tenant `rival` with `r1`, and a placement in CNY."""
    pricing = {"model": "cpd", "day_rate_micros": RATE}
    await admin.make("/v1/campaigns", campaign(id="d1", pricing=pricing))
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "Rival", "currency": "USD"})
    await admin.make("/v1/campaigns", campaign("rival", id="r1", pricing=pricing))
    await admin.make("/v1/placements", {"id": "p2", "currency": "CNY"})
    return admin


async def test_a_booking_is_made_and_handed_to_attribution(sold: Api, outsiders: Outsiders) -> None:
    acme = await sold.key_for("advertiser", "acme")
    made = await acme.make("/v1/bookings", bid(id="b1", day_rate_micros=RATE - 1))
    assert made["state"] == "standing"
    assert (made["advertiser_id"], made["currency"], made["time_zone"]) == ("acme", "USD", "UTC")
    assert (made["placement_id"], made["keyword"], made["day_rate_micros"]) == ("p1", None, RATE - 1)
    assert (made["refusal"], made["cancel_time"]) == (None, None)
    assert outsiders.bookings.held["b1"].spec.day_rate_micros == RATE - 1
    assert await acme.get("/v1/bookings/b1") == made
    assert await acme.get("/v1/bookings") == {"bookings": [made], "next_page_token": ""}


async def test_without_a_rate_it_bids_the_campaigns_and_keywords_are_lower_case(sold: Api) -> None:
    made = await sold.make("/v1/bookings", bid(placement_id=None, keyword="Green Tea"))
    assert (made["day_rate_micros"], made["keyword"]) == (RATE, "green tea")
    assert str(made["id"]).startswith("booking-")


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"campaign_id": "none"}, 404, "/campaign_id"),
        ({"campaign_id": "c1"}, 400, "/campaign_id"),
        ({"placement_id": None}, 400, "/keyword"),
        ({"keyword": "tea"}, 400, "/keyword"),
        ({"placement_id": None, "keyword": " tea"}, 400, "/keyword"),
        ({"placement_id": None, "keyword": "京" * 43}, 400, "/keyword"),
        ({"placement_id": "none"}, 400, "/placement_id"),
        ({"placement_id": "p2"}, 400, "/placement_id"),
        ({"start_date": "2026-02-30"}, 400, "/start_date"),
        ({"start_date": "tomorrow"}, 400, "/start_date"),
        ({"end_date": "2200-01-01"}, 400, "/end_date"),
        ({"end_date": "2020-01-01"}, 400, "/end_date"),
        ({"start_date": "2020-01-01", "end_date": "2020-01-02"}, 409, "/start_date"),
        ({"day_rate_micros": RATE + 1}, 400, "/day_rate_micros"),
        ({"day_rate_micros": 0}, 400, "/day_rate_micros"),
        ({"state": "standing"}, 400, "/state"),
    ],
)
async def test_what_does_not_fit_is_refused_by_field(
    sold: Api, changes: dict[str, object], status: int, pointer: str
) -> None:
    answer = await sold.call("POST", "/v1/bookings", bid(**changes))
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await sold.get("/v1/bookings"))["bookings"] == []


async def test_bids_close_at_ten_of_the_day_before(sold: Api) -> None:
    hour = SystemClock().now_us() % DAY_US // HOUR_US
    closed = day(1) if hour >= 10 else day(0)
    still_open = day(2) if hour >= 10 else day(1)
    assert (await sold.call("POST", "/v1/bookings", bid(start_date=closed))).status_code != 201
    await sold.make("/v1/bookings", bid(start_date=still_open))


async def test_the_same_key_and_body_book_once(sold: Api) -> None:
    body = bid()
    first = await sold.make("/v1/bookings", body, idempotency_key="k1")
    again = await sold.make("/v1/bookings", body, idempotency_key="k1")
    assert again == first
    assert (await sold.call("POST", f"/v1/bookings/{first['id']}:cancel")).json()["state"] == "cancelled"
    assert (await sold.make("/v1/bookings", body, idempotency_key="k1"))["cancel_time"] is None
    other = await sold.call("POST", "/v1/bookings", bid(day_rate_micros=1), idempotency_key="k1")
    assert other.status_code == 409
    another_kind = await sold.call("POST", "/v1/campaigns", campaign(), idempotency_key="k1")
    assert another_kind.status_code == 409
    await sold.make("/v1/campaigns", campaign(), idempotency_key="k2")
    assert (await sold.call("POST", "/v1/bookings", body, idempotency_key="k2")).status_code == 409


async def test_one_key_asked_at_once_books_once(sold: Api) -> None:
    body = bid()
    made = await asyncio.gather(*(sold.make("/v1/bookings", body, idempotency_key="k1") for _ in range(5)))
    assert len({one["id"] for one in made}) == 1
    taken = await sold.call("POST", "/v1/bookings", bid(id=made[0]["id"]))
    assert taken.status_code == 409


async def test_a_booking_is_taken_back_once(sold: Api, outsiders: Outsiders) -> None:
    await sold.make("/v1/bookings", bid(id="b1"))
    first = await sold.call("POST", "/v1/bookings/b1:cancel")
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert (await sold.call("POST", "/v1/bookings/b1:cancel")).json() == first.json()
    assert outsiders.bookings.held["b1"].cancel_time_us > 0


async def test_attribution_may_be_away_and_refuse(sold: Api, outsiders: Outsiders) -> None:
    outsiders.bookings.away = True
    assert (await sold.make("/v1/bookings", bid(id="b1")))["state"] == "pending"
    outsiders.bookings.away = False
    refusal = FailedPrecondition(
        "bookings[0].start_date: closed", FieldViolation("bookings[0].start_date", "bids have closed")
    )
    outsiders.bookings.refusals["b2"] = refusal
    made = await sold.make("/v1/bookings", bid(id="b2"))
    # Neither holds the other up.
    assert (made["state"], made["refusal"]) == ("refused", "bids have closed")
    assert (await sold.get("/v1/bookings/b1"))["state"] == "standing"
    assert list(outsiders.bookings.held) == ["b1"]


async def test_bookings_and_their_days_are_sealed_from_other_tenants(sold: Api, outsiders: Outsiders) -> None:
    acme, rival = await sold.key_for("advertiser", "acme"), await sold.key_for("advertiser", "rival")
    await acme.make("/v1/bookings", bid(id="b1"))
    await rival.make("/v1/bookings", bid(id="b2", campaign_id="r1"))
    outsiders.bookings.days = {"b1": [BookedDate(day(5), 1_000_000, 2_000_000, "outbid")]}
    days = await acme.get("/v1/bookings/b1/days")
    assert days == {
        "booking_id": "b1",
        "day_rate_micros": RATE,
        "currency": "USD",
        "days": [
            {
                "date": day(5),
                "start_time": "1970-01-01T00:00:01Z",
                "end_time": "1970-01-01T00:00:02Z",
                "state": "outbid",
            }
        ],
    }
    for method, path in (
        ("GET", "/v1/bookings/b1"),
        ("GET", "/v1/bookings/b1/days"),
        ("POST", "/v1/bookings/b1:cancel"),
        ("GET", "/v1/bookings?advertiser_id=acme"),
    ):
        assert (await rival.call(method, path)).status_code == 404, path
    page: Any = await rival.get("/v1/bookings")
    assert [one["id"] for one in page["bookings"]] == ["b2"]
    assert (await rival.get("/v1/bookings?campaign_id=d1"))["bookings"] == []
    assert (await rival.call("POST", "/v1/bookings", bid())).status_code == 404
    everything: Any = await sold.get("/v1/bookings?page_size=1")
    assert [one["id"] for one in everything["bookings"]] == ["b1"]
    rest: Any = await sold.get(f"/v1/bookings?page_size=1&page_token={everything['next_page_token']}")
    assert ([one["id"] for one in rest["bookings"]], rest["next_page_token"]) == (["b2"], "")


async def test_an_analyst_reads_bookings_and_makes_none(sold: Api) -> None:
    await sold.make("/v1/bookings", bid(id="b1"))
    analyst = await sold.key_for("analyst")
    await analyst.get("/v1/bookings/b1")
    for path, body in (("/v1/bookings", bid()), ("/v1/bookings/b1:cancel", None)):
        assert (await analyst.call("POST", path, body)).status_code == 403


async def test_a_campaign_does_not_turn_into_booked_days_nor_back(sold: Api) -> None:
    for name, pricing in (
        ("d1", {"model": "cpm", "bid_micros": 5, "day_rate_micros": None}),
        ("c1", {"model": "cpd", "day_rate_micros": 5, "bid_micros": None}),
    ):
        answer = await sold.call("PATCH", f"/v1/campaigns/{name}", {"pricing": pricing})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/pricing/model")
    answer = await sold.call("PATCH", "/v1/campaigns/d1", {"pricing": {"day_rate_micros": 7}})
    assert answer.status_code == 200


class Outbox:
    """Bookings in memory."""

    def __init__(self, *names: str) -> None:
        spec = BookingSpec(
            campaign_id="d1", keyword="tea", start_date="2026-03-08", end_date="2026-03-08", day_rate_micros=1
        )
        self.rows = {name: Booking(name, "acme", "USD", "UTC", spec, 1) for name in names}
        self.refused: dict[str, str] = {}

    async def untold(self, limit: int) -> list[Booking]:
        return list(self.rows.values())[:limit]

    async def count_untold(self) -> int:
        return len(self.rows)

    async def note_told(self, bookings: object) -> None:
        for one in bookings:  # type: ignore[attr-defined]  # a list of bookings
            self.rows.pop(one.id, None)

    async def note_refused(self, booking_id: str, refusal: str) -> None:
        self.rows.pop(booking_id)
        self.refused[booking_id] = refusal


async def test_the_background_pushes_until_attribution_is_back_and_tells_what_waits() -> None:
    outbox, book = Outbox("a", "b"), FakeBookings(away=True)
    told: list[int] = []
    emptied = asyncio.Event()

    def hear(pending: int) -> None:
        told.append(pending)
        book.away = len(told) < 3
        if not pending:
            emptied.set()

    relay = BookingRelay(outbox, book, wait_s=1.0, on_pending=hear, first_retry_s=0.001, idle_s=0.01)
    task = asyncio.create_task(relay.run())
    await asyncio.wait_for(emptied.wait(), 10)
    task.cancel()
    assert told[:3] == [2, 2, 2]
    assert set(book.held) == {"a", "b"}


async def test_what_is_no_answer_refuses_nothing() -> None:
    outbox, book = Outbox("a"), FakeBookings(away=True)
    await BookingRelay(outbox, book, wait_s=1.0).push_soon()
    with pytest.raises(Unavailable):
        await BookingRelay(outbox, book, wait_s=1.0).push()
    assert (list(outbox.rows), outbox.refused) == (["a"], {})
