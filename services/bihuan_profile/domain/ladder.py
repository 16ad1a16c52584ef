"""
How much a person takes part: the highest rung of the ladder that was stood on lately.

The rungs are those of Forrester's Social Technographics (Li and Bernoff, "Groundswell", 2008; conversationalists were
added in 2010): creators post, conversationalists share, critics comment, collectors keep, joiners follow, spectators
look, and the inactive do nothing of it. Evaluated at every read from the last time of each behaviour: always current.
"""

from dataclasses import dataclass
from typing import Final

from bihuan_profile.domain.behaviour import Behaviour
from bihuan_profile.domain.record import Record, last_done_us
from bihuan_shared.clock import DAY_US

RECENT_DAYS: Final = 30
RECENT_US: Final = RECENT_DAYS * DAY_US
"""What was done counts for so long; the last instant included."""

RUNGS: Final = (
    ("creator", (Behaviour.POST,)),
    ("conversationalist", (Behaviour.SHARE,)),
    ("critic", (Behaviour.COMMENT,)),
    ("collector", (Behaviour.FAVOURITE,)),
    ("joiner", (Behaviour.FOLLOW,)),
    ("spectator", (Behaviour.VIEW, Behaviour.SEARCH, Behaviour.CLICK)),
)
"""The rungs from the highest down, and what puts a person on each."""
INACTIVE: Final = "inactive"
LADDER_VALUES: Final = (*(rung for rung, _ in RUNGS), INACTIVE)


@dataclass(frozen=True, slots=True)
class Ladder:
    """A rung, when the person last did what it rests on (0: never), and when it is another if nothing happens."""

    rung: str
    last_us: int
    until_us: int | None


def ladder(record: Record, now_us: int) -> Ladder | None:
    """The rung at `now_us`; None of a person of whom no operation is known."""
    if not record.first_operation_us:
        return None
    latest_us = 0
    for rung, behaviours in RUNGS:
        last_us = last_done_us(record.counts, behaviours)
        if last_us and now_us <= last_us + RECENT_US:
            return Ladder(rung, last_us, last_us + RECENT_US + 1)
        latest_us = max(latest_us, last_us)
    return Ladder(INACTIVE, latest_us, None)


SOURCE: Final = "Forrester Social Technographics ladder (Li and Bernoff 2008, 2010)"
RULES: Final = {
    **{
        rung: f"{' or '.join(one.name.lower() for one in behaviours)} in the last {RECENT_DAYS} days, and nothing of a "
        "higher rung"
        for rung, behaviours in RUNGS
    },
    INACTIVE: f"nothing of any rung in the last {RECENT_DAYS} days",
}
"""Each rung in words."""
