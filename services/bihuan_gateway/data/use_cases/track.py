"""Beacons: acknowledged once attribution committed them or the spool fsynced them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bihuan_gateway.control.snapshot import SnapshotSource
from bihuan_gateway.data.domain.naming import landing_with_click
from bihuan_gateway.data.domain.traffic import Visit
from bihuan_gateway.data.ports import Beacon, EventLog, Landings, Recorded
from bihuan_gateway.data.use_cases.watch import TrafficWatch
from bihuan_shared.clock import Clock
from bihuan_shared.errors import BihuanError, DeadlineExceeded, ResourceExhausted, Unavailable
from bihuan_shared.rpc.deadline import deadline_scope
from bihuan_shared.tokens import KeyRing, TokenExpired, TokenInvalid, TrackingToken

IMPRESSION = "IMPRESSION"
VIEWABLE = "VIEWABLE"
CLICK = "CLICK"
LANDING = "LANDING"

SPOOLED = "spooled"
INVALID = "invalid"
REFUSED = "refused"


class BeaconSpool(Protocol):
    """Keeps beacons while attribution does not answer."""

    async def append(self, payload: bytes) -> None:
        """Keep an encoded beacon, durable on return (ResourceExhausted, Unavailable)."""
        ...


@dataclass(slots=True)
class Outage:
    """
    Remembers that attribution did not answer.

    For `pause_us` after a failure beacons go to the spool at once, instead of each waiting for its own time-out.
    """

    pause_us: int
    monotonic_us: Callable[[], int]
    _until_us: int = 0

    @property
    def lasts(self) -> bool:
        """Whether attribution failed a moment ago."""
        return self.monotonic_us() < self._until_us

    def note(self) -> None:
        """Attribution did not answer just now."""
        self._until_us = self.monotonic_us() + self.pause_us


@dataclass(frozen=True, slots=True)
class Track:
    """Takes beacons in. `timeout_s` is how long attribution has to commit one before it is spooled."""

    snapshots: SnapshotSource
    landings: Landings
    events: EventLog
    spool: BeaconSpool
    keys: KeyRing
    clock: Clock
    outage: Outage
    watch: TrafficWatch
    count: Callable[[str, str], None]
    timeout_s: float = 1.0

    async def beacon(self, kind: str, token_text: str, visit: Visit) -> None:
        """
        Take in an impression, viewable or landing.

        A token that does not open is told to attribution, which counts the rejection, and never spooled; what becomes
        of it does not matter to the browser. Raises Unavailable where a genuine beacon could be kept nowhere.
        """
        now_us = self.clock.now_us()
        try:
            token = self.keys.open(token_text, now_us)
        except (TokenInvalid, TokenExpired):
            self.count(kind, INVALID)
            await self._report_invalid(Beacon(kind, token_text, now_us, (), measured=False))
            return
        tags = await self._tags(token.creative_id)
        await self._keep(Beacon(kind, token_text, now_us, tags, _is_measured(token), self.watch.judge(visit, now_us)))

    async def click(self, token_text: str, visit: Visit) -> str:
        """
        Take in a click and return where to send the browser: the landing URL of the creative with the click's id.

        Raises TokenInvalid or TokenExpired, and Unavailable where the click could be kept nowhere.
        """
        now_us = self.clock.now_us()
        try:
            token = self.keys.open(token_text, now_us)
        except (TokenInvalid, TokenExpired):
            self.count(CLICK, INVALID)
            raise
        landing_url, tags = await self._landing(token.creative_id)
        await self._keep(Beacon(CLICK, token_text, now_us, tags, _is_measured(token), self.watch.judge(visit, now_us)))
        return landing_with_click(landing_url, token.token_id)

    async def _keep(self, beacon: Beacon) -> None:
        """Have the beacon committed, or else spooled, before anything is acknowledged."""
        kind, event = beacon.kind, self.events.encode_beacon(beacon)
        if not self.outage.lasts:
            try:
                with deadline_scope(self.timeout_s):
                    result = await self.events.record(event)
            except (Unavailable, DeadlineExceeded, ResourceExhausted):
                self.outage.note()
            else:
                self.count(kind, result.outcome.value)
                return
        try:
            await self.spool.append(event)
        except (ResourceExhausted, Unavailable):
            self.count(kind, REFUSED)
            raise Unavailable("events cannot be kept at the moment", reason="OVERLOADED") from None
        self.count(kind, SPOOLED)

    async def _report_invalid(self, beacon: Beacon) -> None:
        if self.outage.lasts:
            return
        try:
            with deadline_scope(self.timeout_s):
                await self.events.record(self.events.encode_beacon(beacon))
        except BihuanError:
            self.count(beacon.kind, Recorded.REJECTED.value)

    async def _tags(self, creative_id: str) -> tuple[str, ...]:
        creative = self.snapshots.current().creatives.get(creative_id)
        if creative is not None:
            return creative.tags
        try:
            found = await self.landings.find(creative_id)
        except BihuanError:
            # Tags only feed interests; the event itself must not wait for them.
            return ()
        return found[1] if found is not None else ()

    async def _landing(self, creative_id: str) -> tuple[str, tuple[str, ...]]:
        creative = self.snapshots.current().creatives.get(creative_id)
        if creative is not None:
            return creative.landing_url, creative.tags
        found = await self.landings.find(creative_id)
        if found is None:
            raise TokenInvalid("the token names nothing that was ever shown")
        return found


def _is_measured(token: TrackingToken) -> bool:
    # A token names a person only where MEASUREMENT was consented to.
    return token.person_id != 0
