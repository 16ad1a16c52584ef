"""Engagements and leads from callers' servers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bihuan_gateway.data.ports import ActionEvent, EventLog, Identifier, Identities, Recorded, RecordResult
from bihuan_gateway.data.use_cases.knowledge import MEASUREMENT
from bihuan_shared.errors import FieldViolation, NotFound

NO_CONSENT = "NO_CONSENT"


@dataclass(frozen=True, slots=True)
class ReportedAction:
    """An action whose person may be named by identifiers; `event.person` is nobody until they are resolved."""

    identifiers: tuple[Identifier, ...]
    event: ActionEvent

    @property
    def may_name(self) -> bool:
        """Whether its person may be stored."""
        return bool(self.identifiers) and MEASUREMENT in self.event.consent.purposes


@dataclass(frozen=True, slots=True)
class RecordActions:
    """Takes actions in; a caller that is not answered sends them again."""

    identities: Identities
    events: EventLog
    count: Callable[[str], None]

    def require_tenant(self, actions: Sequence[ReportedAction], tenant: str | None) -> None:
        """Raise NotFound for an advertiser other than `tenant` (None: any)."""
        for place, action in enumerate(actions):
            if tenant not in {None, action.event.advertiser_id}:
                pointer = f"/actions/{place}/advertiser_id"
                raise NotFound("no such advertiser", FieldViolation(pointer, "no such advertiser"))

    async def __call__(self, actions: Sequence[ReportedAction]) -> list[RecordResult]:
        """
        Commit up to 1,000 actions and return one result each, in order.

        One that neither names a click nor may name a person is rejected here: nothing could follow from it. Raises
        Unavailable or DeadlineExceeded where attribution or identity do not answer.
        """
        results = [RecordResult(Recorded.REJECTED, NO_CONSENT, "consent")] * len(actions)
        kept = [place for place, action in enumerate(actions) if action.may_name or action.event.click_id]
        if kept:
            events = await self._with_persons([actions[place] for place in kept])
            for place, result in zip(kept, await self.events.record_actions(events), strict=True):
                results[place] = result
        for result in results:
            self.count(result.outcome.value)
        return results

    async def _with_persons(self, actions: Sequence[ReportedAction]) -> list[ActionEvent]:
        events = [action.event for action in actions]
        wanted = [place for place, action in enumerate(actions) if action.may_name]
        if wanted:
            persons = await self.identities.resolve_many([actions[place].identifiers for place in wanted])
            for place, person in zip(wanted, persons, strict=True):
                events[place] = replace(events[place], person=person)
        return events


def action_pointer(path: str) -> str:
    """Turn the path of an event's field into a pointer into the action as it was sent; empty where it has none."""
    steps = [step for step in path.replace("]", "").replace("[", ".").split(".") if step]
    # Attribution names fields of a batch from its root.
    steps = steps[2:] if steps[:1] == ["events"] else steps
    if steps[:1] == ["action"]:
        return "".join(f"/{step}" for step in steps[1:])
    return f"/{steps[0]}" if steps[:1] in (["event_id"], ["consent"]) else ""
