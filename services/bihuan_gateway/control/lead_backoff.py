"""When to try again: a receiver that fails is left alone for a while, and so is a lead that it does not take."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bihuan_gateway.control.lead_ports import Reply

MOST_LEADS: Final = 10_000
"""Leads whose failures are remembered; beyond, the oldest are tried again early."""
_GONE = 410
_OF_THE_LEAD = frozenset({400, 409, 413, 422})
"""Answers that are about what was sent; every other failure is about the receiver."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds: the first pause, and the longest of a receiver and of a lead. Pauses double from one to the next."""

    first_s: float = 1.0
    receiver_s: float = 300.0
    lead_s: float = 3_600.0


@dataclass(slots=True)
class _Receiver:
    url: str
    failures: int = 0
    until: float = 0.0


class Backoff:
    """
    What failed, in memory: after a restart everything is tried once more.

    `monotonic` tells seconds, `spread` draws from [0, 1) so that those who failed together do not come back together.
    """

    def __init__(self, monotonic: Callable[[], float], spread: Callable[[], float], pauses: Pauses = Pauses()) -> None:
        self._monotonic = monotonic
        self._spread = spread
        self._pauses = pauses
        self._receivers: dict[str, _Receiver] = {}
        self._leads: OrderedDict[tuple[str, int], tuple[int, float]] = OrderedDict()

    def may_reach(self, advertiser_id: str, url: str) -> bool:
        """Whether a receiver may be tried now; a new URL is a new receiver."""
        held = self._receivers.get(advertiser_id)
        if held is None or held.url != url:
            self._receivers[advertiser_id] = _Receiver(url)
            return True
        return held.until <= self._monotonic()

    def may_send(self, lead: tuple[str, int]) -> bool:
        """Whether a revision of a lead may be tried now."""
        return self._leads.get(lead, (0, 0.0))[1] <= self._monotonic()

    def note(self, advertiser_id: str, replies: dict[tuple[str, int], Reply]) -> None:
        """
        Note what a receiver answered to several leads.

        One that failed altogether is left alone: until its URL changes where it answered 410, else for a while that
        grows, or for as long as it asked. Where it took or judged some, the leads that failed wait on their own.
        """
        receiver = self._receivers.setdefault(advertiser_id, _Receiver(""))
        failed = {name: reply for name, reply in replies.items() if not reply.is_taken}
        if any(reply.status == _GONE for reply in failed.values()):
            receiver.until = float("inf")
            return
        answers = any(reply.is_taken or reply.status in _OF_THE_LEAD for reply in replies.values())
        for name in replies:
            if name not in failed:
                self._leads.pop(name, None)
        if failed and not answers:
            asked_s = max(reply.retry_after_s for reply in failed.values())
            pause_s = max(self._pause_s(receiver.failures, self._pauses.receiver_s), asked_s)
            receiver.failures += 1
            receiver.until = self._monotonic() + pause_s
            return
        receiver.failures = 0
        for name in failed:
            count = self._leads.pop(name, (0, 0.0))[0]
            self._leads[name] = (count + 1, self._monotonic() + self._pause_s(count, self._pauses.lead_s))
        while len(self._leads) > MOST_LEADS:
            self._leads.popitem(last=False)

    def _pause_s(self, failures: int, most_s: float) -> float:
        """Half of the pause for certain, the other half by chance."""
        full_s = min(self._pauses.first_s * 2.0 ** min(failures, 30), most_s)
        return full_s / 2 + full_s / 2 * self._spread()
