"""
The table of credit cases.

A campaign is its own channel. Options of a model: `1d` is the half-life, `A=3` the learned weight of a channel.
"""

import re
from pathlib import Path

import pytest

from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.credit.order_credits import HALF_LIFE_US, credits_of
from bihuan_attribution.domain.credit.path_touch import PathTouch
from bihuan_attribution.domain.event import DAY_US, HOUR_US, EventType

TABLE = Path(__file__).with_name("credit_cases.txt")
UNITS = {"u": 1, "h": HOUR_US, "d": DAY_US}
TYPES = {
    "imp": EventType.IMPRESSION,
    "view": EventType.VIEWABLE,
    "click": EventType.CLICK,
    "land": EventType.LANDING,
}


def cases() -> list[tuple[str, str, str]]:
    found = []
    for block in TABLE.read_text().split("\n\n"):
        name, *lines = [line for line in block.splitlines() if line and not line.startswith("#")] or [""]
        script = next((line[2:] for line in lines if line.startswith("> ")), "")
        found += [(name, script, line[2:]) for line in lines if line.startswith("+ ")]
    return found


def instant(text: str) -> int:
    """`0`, `3h`, `2d12h`, `3d1u`: microseconds after the start."""
    return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)([uhd])", text))


def touch(word: str) -> PathTouch:
    """`click:A1@2d` is a click of campaign A under the event id A1, two days in."""
    head, _, at = word.partition("@")
    kind, _, event_id = head.partition(":")
    return PathTouch(instant(at), event_id, TYPES[kind], event_id[0], event_id[0])


@pytest.mark.parametrize(
    ("script", "line"), [pytest.param(script, line, id=f"{name} | {line}") for name, script, line in cases()]
)
def test_case(script: str, line: str) -> None:
    *words, order = script.split()
    asked, _, expected = line.partition(": ")
    model, *options = asked.split()
    weights = {name: int(weight) for name, _, weight in (one.partition("=") for one in options) if weight}
    half_life_us = next((instant(one) for one in options if "=" not in one), HALF_LIFE_US)
    found = credits_of(
        CreditModel(model),
        [touch(word) for word in words],
        instant(order.partition("@")[2]),
        weights,
        half_life_us=half_life_us,
    )
    assert (" ".join(map(str, found)) or "nothing") == expected


def test_the_table_is_read() -> None:
    assert len({name for name, _, _ in cases()}) >= 20
