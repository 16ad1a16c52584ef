"""A graph in memory on which every plan is carried out at once, for tests of rules."""

from dataclasses import replace

from bihuan_identity.domain.graph import CERTAIN_PPM, Claim, Erasure, KeyedIdentifier, Node, PersonsChange
from bihuan_identity.domain.linking import LinkCommand, plan_links
from bihuan_identity.domain.resolving import Item, Resolution, plan_resolve
from bihuan_identity.domain.undoing import (
    EraseCommand,
    UnlinkCommand,
    plan_erase,
    plan_forget,
    plan_lapse,
    plan_revoke,
    plan_unlink,
)
from bihuan_identity.domain.working import Linked, Rules
from bihuan_shared.clock import SECOND_US
from tests.unit.identity.builders import DAY_S, MAX_CLUSTER_SIZE, NOW_US, claim, key, rules
from tests.unit.identity.memory_identity import MemoryGraphView


def key_in(name: str, epoch: int) -> bytes:
    """The key of a name under the pepper of an epoch."""
    return key(name if epoch == 1 else f"{name}@{epoch}")


class PlannedGraph:
    """Identifiers are words; those that start with a capital are of the namespace `cookie`, the others of `login`."""

    def __init__(
        self, *, max_cluster_size: int = MAX_CLUSTER_SIZE, max_degree: int = 64, ttl_s: int = 365 * DAY_S
    ) -> None:
        self.view = MemoryGraphView()
        self.max_degree = max_degree
        self.rules: Rules = rules(max_cluster_size, max_degree=max_degree, ttl_s=ttl_s)
        self.time_s = NOW_US // SECOND_US
        self.epoch = 1
        self._requests = 0

    @property
    def changes(self) -> list[PersonsChange]:
        """Every change of persons so far."""
        return self.view.changes

    def identifiers(self, names: str) -> tuple[KeyedIdentifier, ...]:
        """The words of `names` under the newest pepper, and the one before where there is one."""
        return tuple(
            KeyedIdentifier(
                key_in(name, self.epoch),
                "cookie" if name[0].isupper() else "login",
                CERTAIN_PPM,
                self.max_degree,
                None if self.epoch == 1 else key_in(name, self.epoch - 1),
            )
            for name in names.split()
        )

    def command(self, names: str, why: Claim, request_id: str = "", caller: str = "gateway") -> LinkCommand:
        """A link at this graph's time, under a request id of its own unless one is given."""
        request_id = request_id or self.request_id()
        return LinkCommand(caller, request_id, self.identifiers(names), why, self.time_s * SECOND_US)

    def request_id(self) -> str:
        """A request id that no other request has."""
        self._requests += 1
        return f"own-{self._requests}"

    def link(
        self,
        names: str,
        *,
        confidence_ppm: int = CERTAIN_PPM,
        source: str = "",
        request_id: str = "",
        caller: str = "gateway",
    ) -> Linked:
        """Link the words of `names`; raises why it was refused."""
        why = claim(confidence_ppm)
        command = self.command(names, replace(why, source=source or why.source), request_id, caller)
        change, (outcome,) = plan_links(self.view, [command], self.rules, epoch=self.epoch)
        self.view.apply(change)
        if not isinstance(outcome, Linked):
            raise outcome
        return outcome

    def unlink(self, evidence_id: int, request_id: str = "") -> tuple[int, ...]:
        """Undo a piece of evidence."""
        command = UnlinkCommand("gateway", request_id or self.request_id(), evidence_id, self.time_s * SECOND_US)
        change, person_ids = plan_unlink(self.view, command, self.rules, epoch=self.epoch)
        if change is not None:
            self.view.apply(change)
        return person_ids

    def erase(self, person_id: int, request_id: str = "") -> Erasure:
        """Erase a person."""
        command = EraseCommand("gateway", request_id or self.request_id(), person_id, self.time_s * SECOND_US)
        change, erasure = plan_erase(self.view, command, self.rules, epoch=self.epoch)
        if change is not None:
            self.view.apply(change)
        return erasure

    def resolve(self, *items: str, create: bool = True) -> list[Resolution]:
        """Resolve items of words in one batch."""
        batch = [Item(self.identifiers(names), create, self.time_s * SECOND_US) for names in items]
        change, resolutions = plan_resolve(self.view, batch, self.rules, epoch=self.epoch)
        self.view.apply(change)
        return list(resolutions)

    def lapse(self, page: int = 100) -> int:
        """Strip what has lapsed; returns how many pieces lost members."""
        after: int | None = 0
        count = 0
        while after is not None:
            change, (after, lapsed) = plan_lapse(
                self.view, after, page, self.rules, time_s=self.time_s, epoch=self.epoch
            )
            count += lapsed
            if change is not None:
                self.view.apply(change)
        return count

    def retire(self, oldest_epoch: int) -> int:
        """Forget what no pepper from `oldest_epoch` on can find; returns how many."""
        change, (_, count) = plan_forget(
            self.view,
            b"",
            1_000,
            lambda node: node.epoch < oldest_epoch,
            self.rules,
            time_s=self.time_s,
            epoch=self.epoch,
        )
        if change is not None:
            self.view.apply(change)
        return count

    def revoke(self, namespace: str, page: int = 1_000) -> tuple[bool, int]:
        """Go through one page of identifiers, giving up a namespace."""
        change, outcome = plan_revoke(self.view, namespace, page, self.rules, time_s=self.time_s, epoch=self.epoch)
        if change is not None:
            self.view.apply(change)
        return outcome

    def node(self, name: str) -> Node:
        """A known identifier, under the newest pepper."""
        return self.view.rows[key_in(name, self.epoch)]

    def persons(self, names: str) -> list[int]:
        """The persons of known identifiers."""
        return [self.node(name).person_id for name in names.split()]

    def generation(self, person_id: int) -> int:
        """How often a person gave up or re-rated identifiers."""
        return self.view.person_rows[person_id].generation
