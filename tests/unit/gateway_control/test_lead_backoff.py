"""When failed deliveries are tried again."""

from dataclasses import dataclass, field

import pytest

from bihuan_gateway.control.lead_backoff import MOST_LEADS, Backoff, Pauses
from bihuan_gateway.control.lead_ports import Reply

URL = "https://crm.example.com/hook"
TAKEN, AWAY, BAD = Reply("", 204), Reply("unreachable"), Reply("", 422)


@dataclass
class Time:
    now: float = 0.0
    spread: float = 0.0
    backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self.backoff = Backoff(lambda: self.now, lambda: self.spread, Pauses(2.0, 16.0, 64.0))
        assert self.backoff.may_reach("acme", URL)

    def waits(self) -> float:
        """Until when the receiver is left alone."""
        start = self.now
        while not self.backoff.may_reach("acme", URL):
            self.now += 0.5
        return self.now - start


def test_a_receiver_that_fails_altogether_is_left_alone_for_longer_each_time() -> None:
    time = Time()
    waited = []
    for _ in range(6):
        time.backoff.note("acme", {("a", 1): AWAY, ("b", 1): Reply("", 500)})
        waited.append(time.waits())
    assert waited == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert time.backoff.may_send(("a", 1))
    time.backoff.note("acme", {("a", 1): TAKEN})
    time.backoff.note("acme", {("a", 2): AWAY})
    assert time.waits() == 1.0


def test_chance_spreads_those_who_failed_together() -> None:
    time = Time(spread=0.5)
    time.backoff.note("acme", {("a", 1): AWAY})
    assert time.waits() == 1.5


def test_a_lead_that_is_not_taken_waits_alone() -> None:
    time = Time()
    for longest in (1.0, 2.0, 4.0):
        time.backoff.note("acme", {("a", 1): BAD, ("b", 1): TAKEN})
        assert time.backoff.may_reach("acme", URL)
        assert (time.backoff.may_send(("a", 1)), time.backoff.may_send(("b", 1))) == (False, True)
        time.now += longest
        assert time.backoff.may_send(("a", 1))
    assert time.backoff.may_send(("a", 2))


def test_a_lead_that_breaks_the_receiver_does_not_hold_up_the_others() -> None:
    time = Time()
    time.backoff.note("acme", {("poison", 1): Reply("", 500), ("b", 1): TAKEN})
    assert (time.backoff.may_reach("acme", URL), time.backoff.may_send(("poison", 1))) == (True, False)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 503])
def test_other_answers_are_the_receivers(status: int) -> None:
    time = Time()
    time.backoff.note("acme", {("a", 1): Reply("", status)})
    assert not time.backoff.may_reach("acme", URL)
    assert time.backoff.may_reach("brew", URL)


def test_a_receiver_is_left_alone_for_as_long_as_it_asks() -> None:
    time = Time()
    time.backoff.note("acme", {("a", 1): Reply("", 429, 30.0)})
    assert time.waits() == 30.0


def test_what_is_gone_stays_gone_until_there_is_another_url() -> None:
    time = Time()
    time.backoff.note("acme", {("a", 1): Reply("", 410), ("b", 1): TAKEN})
    time.now += 10**9
    assert not time.backoff.may_reach("acme", URL)
    assert time.backoff.may_reach("acme", URL + "2")


def test_no_more_failures_are_remembered_than_fit() -> None:
    time = Time()
    for number in range(MOST_LEADS + 5):
        time.backoff.note("acme", {(f"lead-{number}", 1): BAD})
    assert time.backoff.may_send(("lead-4", 1))
    assert not time.backoff.may_send(("lead-5", 1))
