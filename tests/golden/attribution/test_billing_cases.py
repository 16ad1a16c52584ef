"""
The table of billing cases.

Campaigns: M pays 2,000,000 nanos an impression, V the same a viewable one, L and D as M with a total and a daily
budget of 3,000,000, C 2,000,000 nanos a click, S a commission of 10 % (half of it the promoter's), T one of 20 % and a
window of a day, R one of 500 millionths. Order amounts are micros. Everything happens to one person.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

TABLE = Path(__file__).with_name("billing_cases.txt")
Run = Callable[[str, int], tuple[list[str], dict[str, int]]]


def cases() -> list[tuple[str, str, list[str], str]]:
    found = []
    for block in TABLE.read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            script = next(line for line in lines if line.startswith("> "))[2:]
            figures = next(line for line in lines if line.startswith("= "))[2:]
            entries = [line[2:] for line in lines if line.startswith("+ ")]
            found.append((lines[0], script, entries, figures))
    return found


@pytest.mark.parametrize(("script", "entries", "figures"), [pytest.param(*case[1:], id=case[0]) for case in cases()])
def test_case(run_script: Run, script: str, entries: list[str], figures: str) -> None:
    posted, counted = run_script(script, 100)
    assert posted == entries
    assert (" ".join(f"{name}={value}" for name, value in sorted(counted.items())) or "nothing") == figures
