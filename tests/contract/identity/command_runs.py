"""Random commands that are carried out on several stores, and everything that a store then holds."""

import asyncio
from collections.abc import Sequence

from hypothesis import strategies as st

from bihuan_identity.domain.graph import CERTAIN_PPM, Claim, EvidenceKind, GraphChange, GraphView, KeyedIdentifier
from bihuan_identity.domain.linking import ContentConflictError, LinkCommand, plan_links
from bihuan_identity.domain.resolving import Item, plan_resolve
from bihuan_identity.domain.undoing import (
    EraseCommand,
    UnknownEvidenceError,
    UnknownPersonError,
    UnlinkCommand,
    plan_erase,
    plan_forget,
    plan_lapse,
    plan_revoke,
    plan_unlink,
)
from bihuan_identity.domain.working import Rules
from bihuan_identity.use_cases.ports import GraphStore
from tests.unit.identity.planned import key_in
from tests.unit.identity.test_graph_machine import (
    GROUPS,
    MAX_CLUSTER_SIZE,
    MAX_DEGREE,
    NAMES,
    TTL_S,
    namespace_of,
    rules,
)

MANY = 10_000
MAX_EPOCH = 3
NAMESPACES = sorted(TTL_S)

Command = tuple[str, Sequence[str], int, int]
"""What to do, about which names, and two numbers whose meaning depends on that."""

ONE_NAME = st.lists(st.sampled_from(NAMES), min_size=1, max_size=1)
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("link"), GROUPS, st.sampled_from([CERTAIN_PPM, 600_000, 300_000]), st.integers(0, 2)),
        st.tuples(st.just("link"), GROUPS, st.just(CERTAIN_PPM), st.just(0)),
        st.tuples(st.just("resolve"), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
                  st.integers(0, 1), st.just(0)),
        st.tuples(st.just("unlink"), st.just(()), st.integers(1, 30), st.just(0)),
        st.tuples(st.just("erase"), st.just(()), st.integers(1, 12), st.just(0)),
        st.tuples(st.just("lapse"), st.just(()), st.sampled_from([1, 99, 100, 10_000]), st.just(2)),
        st.tuples(st.just("rekey"), st.just(()), st.just(0), st.just(0)),
        st.tuples(st.just("retire"), st.just(()), st.just(0), st.just(0)),
        st.tuples(st.just("revoke"), st.just(()), st.sampled_from([0, 0, 0, 1]), st.integers(1, 5)),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip


class CommandRun:
    """Carries commands out on one store; what it answers is the same on every right one."""

    def __init__(self, store: GraphStore, *, wide: bool) -> None:
        self._store = store
        self._rules: Rules = rules(len(NAMES) if wide else MAX_CLUSTER_SIZE)
        self._now_s = 1_000_000
        self._epoch = 1
        self._requests = 0

    async def take(self, command: Command) -> object:
        """Carry out one command; returns what came of it."""
        what, names, number, other = command
        self._requests += 1
        if what == "link":
            return await self._link(names, number, other)
        if what == "resolve":
            item = Item(self._keyed(names), create=bool(number), time_us=self._now_s * 1_000_000)
            return await self._store.change(lambda view: plan_resolve(view, [item], self._rules, epoch=self._epoch))
        if what == "rekey":
            self._epoch = min(self._epoch + 1, MAX_EPOCH)
            return self._epoch
        if what in ("unlink", "erase"):
            return await self._undo(what, number)
        return await self._sweep(what, number, other)

    async def _link(self, names: Sequence[str], confidence_ppm: int, source: int) -> object:
        kind = EvidenceKind.DETERMINISTIC if confidence_ppm == CERTAIN_PPM else EvidenceKind.PROBABILISTIC
        claim = Claim(kind, f"s{source}", confidence_ppm, None)
        # One request in five comes under an id that may have come before.
        request_id = f"r{self._requests % 5 and self._requests}"
        command = LinkCommand("test", request_id, self._keyed(names), claim, self._now_s * 1_000_000)
        outcomes = await self._store.change(lambda view: plan_links(view, [command], self._rules, epoch=self._epoch))
        return [repr(outcome) for outcome in outcomes]

    async def _undo(self, what: str, number: int) -> object:
        time_us = self._now_s * 1_000_000

        def plan(view: GraphView) -> tuple[GraphChange | None, object]:
            if what == "unlink":
                return plan_unlink(
                    view, UnlinkCommand("test", f"u{number}", number, time_us), self._rules, epoch=self._epoch
                )
            return plan_erase(view, EraseCommand("test", f"e{number}", number, time_us), self._rules, epoch=self._epoch)

        try:
            return await self._store.change(plan)
        except (UnknownEvidenceError, UnknownPersonError, ContentConflictError) as refusal:
            return type(refusal)

    async def _sweep(self, what: str, number: int, page: int) -> object:
        if what == "lapse":
            self._now_s += number

        def plan(view: GraphView) -> tuple[GraphChange | None, object]:
            if what == "lapse":
                return plan_lapse(view, 0, MANY, self._rules, time_s=self._now_s, epoch=self._epoch)
            if what == "retire":
                oldest = self._epoch - 1
                return plan_forget(
                    view,
                    b"",
                    MANY,
                    lambda node: node.epoch < oldest,
                    self._rules,
                    time_s=self._now_s,
                    epoch=self._epoch,
                )
            namespace = NAMESPACES[number]
            return plan_revoke(view, namespace, page, self._rules, time_s=self._now_s, epoch=self._epoch)

        return await self._store.change(plan)

    def _keyed(self, names: Sequence[str]) -> tuple[KeyedIdentifier, ...]:
        return tuple(
            KeyedIdentifier(
                key_in(name, self._epoch),
                namespace_of(name),
                CERTAIN_PPM,
                MAX_DEGREE[namespace_of(name)],
                None if self._epoch == 1 else key_in(name, self._epoch - 1),
            )
            for name in names
        )


async def everything(store: GraphStore) -> dict[str, object]:
    """All that a store holds, as the ports tell it."""
    every_key = [key_in(name, epoch) for name in NAMES for epoch in range(1, MAX_EPOCH + 1)]

    def read(view: GraphView) -> tuple[None, dict[str, object]]:
        counters = view.counters()
        person_ids = list(range(1, counters.person_id))
        nodes = view.nodes_after(b"", MANY)
        pieces = view.pieces_after(0, MANY)
        return None, {
            "counters": counters,
            "nodes": list(nodes),
            "the same by key": view.nodes(every_key) == {node.key: node for node in nodes},
            "loose": sorted(node.key for node in view.loose_nodes(person_ids)),
            "pieces": list(pieces),
            "the same by person": list(view.pieces_of(person_ids)) == list(pieces),
            "each piece": [view.piece(at) for at in range(counters.evidence_id)],
            "ties": [list(view.pieces_tied(key, MANY)) for key in every_key],
            "tie counts": [view.tie_count(key, 2) for key in every_key],
            "persons": dict(view.persons(person_ids)),
            "aliases": sorted((one.alias_id, one.person_id, one.anchor) for one in view.aliases_of(person_ids)),
            "stands for": [view.alias(at) for at in person_ids],
            "tombstones": set(view.tombstones(every_key)),
            "erased": [view.erased_keys(at) for at in range(counters.evidence_id)],
            "revoked": [set(view.revoked_namespaces()), *map(view.revocation, NAMESPACES)],
        }

    found = await store.change(read)
    standing = await store.standing()
    found["standing"] = (standing.change_id, *(sorted(ids) for ids in (standing.absorbed, standing.erased)))
    found["generations"] = sorted(standing.generations)
    found["changes"] = list(await store.changes_after(0, MANY))
    found["quarantined"] = list(await store.quarantined_after(b"", MANY))
    found["attachments"] = dict(await store.find(every_key))
    found["shown"] = [await store.person(at) for at in range(20)]
    return found


async def compare(stores: Sequence[GraphStore], commands: Sequence[Command], *, wide: bool) -> None:
    """Carry commands out on every store and assert that all answer and hold the same."""
    runs = [CommandRun(store, wide=wide) for store in stores]
    for command in commands:
        first, *others = await asyncio.gather(*(run.take(command) for run in runs))
        assert all(answer == first for answer in others), command
    first_holds, *others_hold = [await everything(store) for store in stores]
    for holds in others_hold:
        for what, found in first_holds.items():
            assert holds[what] == found, what
