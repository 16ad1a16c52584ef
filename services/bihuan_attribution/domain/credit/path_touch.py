"""A touch as the credit models see it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bihuan_attribution.domain.event import EventType

_STRENGTH: Final = {EventType.IMPRESSION: 1, EventType.VIEWABLE: 2, EventType.CLICK: 3}


@dataclass(frozen=True, slots=True)
class PathTouch:
    """
    One contact of a buyer with an advertisement.

    `event_id` is the ledger's, so the events of one advertisement share it; `channel` is what data-driven models learn
    on, normally the campaign id.
    """

    touch_time_us: int
    event_id: str
    event_type: EventType
    campaign_id: str
    channel: str

    @property
    def rank(self) -> tuple[int, str, EventType]:
        """Later touches are higher; at the same instant the event id decides, then the stronger event."""
        return (self.touch_time_us, self.event_id, self.event_type)

    def qualifies(self, order_time_us: int) -> bool:
        """Whether it is an impression, a viewable one or a click, and not after the order. Windows are the caller's."""
        return self.event_type in _STRENGTH and self.touch_time_us <= order_time_us


def strongest(touches: Iterable[PathTouch]) -> tuple[PathTouch, ...]:
    """
    Keep the strongest event of each advertisement: its click, else its viewable impression, else its impression.

    Without this an advertisement that was seen and clicked is three touches to the models that share among all. The
    answer is in the order of rank; landings and later events are left out.
    """
    kept: dict[str, PathTouch] = {}
    for touch in touches:
        strength = _STRENGTH.get(touch.event_type, 0)
        held = kept.get(touch.event_id)
        if strength and (held is None or strength > _STRENGTH[held.event_type]):
            kept[touch.event_id] = touch
    return tuple(sorted(kept.values(), key=lambda touch: touch.rank))
