"""After any sequence of links and unlinks the partition is what the remaining evidence connects."""

import os

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bihuan_identity.domain.graph import CERTAIN_PPM, Claim, EvidenceKind, KeyedIdentifier
from bihuan_identity.domain.linking import LinkCommand, plan_links
from bihuan_identity.domain.regrouping import GuardRefusedError
from bihuan_identity.domain.resolving import Item, plan_resolve
from bihuan_identity.domain.undoing import (
    EraseCommand,
    UnlinkCommand,
    plan_erase,
    plan_forget,
    plan_lapse,
    plan_unlink,
)
from bihuan_identity.domain.working import Linked, Rules
from tests.unit.identity.builders import key
from tests.unit.identity.graph_reference import Reference
from tests.unit.identity.memory_identity import MemoryGraphView

NAMES = "abcdefghij"
MAX_DEGREE = {"login": 4, "cookie": 3}
TTL_S = {"login": 10_000, "cookie": 100}
MAX_CLUSTER_SIZE = 6
EPOCH = 1


def namespace_of(name: str) -> str:
    return "login" if name in "abcd" else "cookie"


def rules(max_cluster_size: int) -> Rules:
    return Rules(max_cluster_size, MAX_DEGREE.__getitem__, TTL_S.__getitem__, min(TTL_S.values()))


def keyed(name: str) -> KeyedIdentifier:
    namespace = namespace_of(name)
    return KeyedIdentifier(key(name), namespace, CERTAIN_PPM, MAX_DEGREE[namespace])


def sighting_of(name: str) -> int:
    return int.from_bytes(key(name)[:8], "big")


GROUPS = st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True)


class GraphMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.graph = MemoryGraphView()
        self.reference = Reference()
        self.now_s = 1_000_000
        self.requests = 0
        self.max_cluster_size = MAX_CLUSTER_SIZE
        self.follower: dict[str, int] = {}
        self.followed = 0

    @initialize(wide=st.booleans())
    def choose_guard(self, *, wide: bool) -> None:
        self.max_cluster_size = len(NAMES) if wide else MAX_CLUSTER_SIZE

    def request_id(self) -> str:
        self.requests += 1
        return f"r{self.requests}"

    @rule(names=GROUPS, confidence_ppm=st.sampled_from([CERTAIN_PPM, 600_000]), source=st.sampled_from("xy"))
    def link(self, names: list[str], confidence_ppm: int, source: str) -> None:
        kind = EvidenceKind.DETERMINISTIC if confidence_ppm == CERTAIN_PPM else EvidenceKind.PROBABILISTIC
        command = LinkCommand(
            "test",
            self.request_id(),
            tuple(map(keyed, names)),
            Claim(kind, source, confidence_ppm, None),
            self.now_s * 1_000_000,
        )
        before = self.snapshot()
        change, (outcome,) = plan_links(self.graph, [command], rules(self.max_cluster_size), epoch=EPOCH)
        self.graph.apply(change)
        if isinstance(outcome, Linked):
            self.reference.pieces[outcome.evidence_id] = set(names)
            self.reference.last_seen_s[outcome.evidence_id] = self.now_s
            self.reference.names |= set(names)
        else:
            barred = bool(self.reference.erased & set(names))
            assert barred or isinstance(outcome, GuardRefusedError)
            assert self.snapshot() == before

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    def resolve(self, names: list[str]) -> None:
        item = Item(tuple(map(keyed, names)), create=True, time_us=self.now_s * 1_000_000)
        pieces = set(self.graph.pieces)
        known = set(self.graph.rows)
        change, (resolution,) = plan_resolve(self.graph, [item], rules(self.max_cluster_size), epoch=EPOCH)
        self.graph.apply(change)
        by_key = {key(name): name for name in NAMES}
        for piece_id in set(self.graph.pieces) - pieces:
            piece = self.graph.pieces[piece_id]
            self.reference.pieces[piece_id] = {by_key[member] for member in piece.members}
            self.reference.last_seen_s[piece_id] = self.now_s
            assert {by_key[member] for member in piece.members} <= set(names)
        for piece_id in pieces & set(self.graph.pieces):
            self.reference.last_seen_s[piece_id] = self.graph.pieces[piece_id].last_seen_s
        new = {by_key[at] for at in set(self.graph.rows) - known}
        assert new <= set(names) - self.reference.erased
        self.reference.names |= new
        assert (resolution.person_id is None) == (not (self.reference.names & set(names)))

    @precondition(lambda self: self.reference.pieces)
    @rule(data=st.data())
    def unlink(self, data: st.DataObject) -> None:
        piece_id = data.draw(st.sampled_from(sorted(self.reference.pieces)))
        command = UnlinkCommand("test", self.request_id(), piece_id, self.now_s * 1_000_000)
        change, persons = plan_unlink(self.graph, command, rules(self.max_cluster_size), epoch=EPOCH)
        assert change is not None
        names = self.reference.pieces.pop(piece_id)
        self.graph.apply(change)
        assert set(persons) == {self.graph.rows[key(name)].person_id for name in names}

    @precondition(lambda self: self.reference.names)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.reference.names)))
        person_id = self.graph.rows[key(name)].person_id
        names = {other for other in self.reference.names if self.graph.rows[key(other)].person_id == person_id}
        command = EraseCommand("test", self.request_id(), person_id, self.now_s * 1_000_000)
        change, _ = plan_erase(self.graph, command, rules(self.max_cluster_size), epoch=EPOCH)
        assert change is not None
        self.graph.apply(change)
        self.reference.forget(names)
        self.reference.erased |= names

    @rule(namespace=st.sampled_from(sorted(TTL_S)))
    def forget_namespace(self, namespace: str) -> None:
        after: bytes | None = b""
        while after is not None:
            change, (after, _) = plan_forget(
                self.graph,
                after,
                3,
                lambda node: node.namespace == namespace,
                rules(self.max_cluster_size),
                time_s=self.now_s,
                epoch=EPOCH,
            )
            if change is not None:
                self.graph.apply(change)
        self.reference.forget({name for name in self.reference.names if namespace_of(name) == namespace})

    @rule(seconds=st.sampled_from([1, 99, 100, 10_000]))
    def lapse(self, seconds: int) -> None:
        self.now_s += seconds
        after: int | None = 0
        while after is not None:
            change, (after, _) = plan_lapse(
                self.graph, after, 2, rules(self.max_cluster_size), time_s=self.now_s, epoch=EPOCH
            )
            if change is not None:
                self.graph.apply(change)
        for piece_id in list(self.reference.pieces):
            age_s = self.now_s - self.reference.last_seen_s[piece_id]
            names = self.reference.pieces[piece_id]
            self.reference.strip(piece_id, [name for name in names if age_s >= TTL_S[namespace_of(name)]])

    def snapshot(self) -> tuple[object, ...]:
        graph = self.graph
        return (
            dict(graph.rows),
            dict(graph.pieces),
            dict(graph.aliases),
            set(graph.ties),
            graph.next,
            len(graph.changes),
        )

    def held(self) -> set[str]:
        return {name for name in self.reference.names if self.graph.rows[key(name)].quarantine_time_s is not None}

    @invariant()
    def persons_are_what_the_evidence_connects(self) -> None:
        groups: dict[int, set[str]] = {}
        for name in self.reference.names:
            groups.setdefault(self.graph.rows[key(name)].person_id, set()).add(name)
        assert set(self.graph.rows) == {key(name) for name in self.reference.names}
        assert {frozenset(group) for group in groups.values()} == self.reference.components(self.held())

    @invariant()
    def quarantine_is_a_function_of_the_evidence(self) -> None:
        crowded = {
            name for name in self.reference.names if self.reference.degree(name) > MAX_DEGREE[namespace_of(name)]
        }
        # Where lifting would make a person too large, a quarantine stays until evidence about that identifier changes.
        assert crowded == self.held() if self.max_cluster_size == len(NAMES) else crowded <= self.held()

    @invariant()
    def ids_stand_for_one_person_each(self) -> None:
        graph = self.graph
        standing = {node.person_id for node in graph.rows.values()}
        assert not standing & set(graph.aliases)
        for group in self.reference.components(self.held()):
            assert len(group) <= self.max_cluster_size
        assert graph.ties == {
            (member, piece.evidence_id)
            for piece in graph.pieces.values()
            for member in piece.members
            if graph.rows[member].quarantine_time_s is not None
        }

    @invariant()
    def stored_records_agree(self) -> None:
        graph = self.graph
        for piece in graph.pieces.values():
            merging = [member for member in piece.members if graph.rows[member].quarantine_time_s is None]
            assert piece.person_id == graph.rows[(merging or piece.members)[0]].person_id
        tied = {member for piece in graph.pieces.values() for member in piece.members}
        for node in graph.rows.values():
            assert node.loose == (node.key not in tied or node.quarantine_time_s is not None)

    @invariant()
    def published_changes_lead_followers_to_the_same_persons(self) -> None:
        """A follower keeps the person of each identifier from its first sighting on, and hears of changes only."""
        for change in self.graph.changes[self.followed :]:
            self.followed += 1
            assert change.change_id == self.followed
            for name, person_id in list(self.follower.items()):
                if person_id in change.before:
                    parts = [part for part in change.parts if sighting_of(name) in part.sightings]
                    if len(change.parts) == 1:
                        parts = list(change.parts)
                    if parts:
                        self.follower[name] = parts[0].person_id
                    else:
                        del self.follower[name]
        for name in self.reference.names:
            self.follower.setdefault(name, self.graph.rows[key(name)].person_id)
        self.follower = {name: at for name, at in self.follower.items() if name in self.reference.names}
        assert self.follower == {name: self.graph.rows[key(name)].person_id for name in self.reference.names}

    @rule(names=GROUPS)
    def link_and_undo(self, names: list[str]) -> None:
        """Undoing a link that merged gives every identifier its person back, under the id it had."""
        before = {name: self.graph.rows[key(name)].person_id for name in self.reference.names}
        pieces = dict(self.reference.pieces)
        evident = {name for name in before if self.graph.rows[key(name)].ordinal is not None}
        merging = [piece - self.held() for piece in pieces.values()]
        evident |= {name for piece in merging if len(piece) > 1 for name in piece}
        self.link(names, CERTAIN_PPM, "z")
        new = self.reference.pieces.keys() - pieces.keys()
        if not new or self.held() & self.reference.pieces[max(new)]:
            return
        piece_id = max(new)
        del self.reference.pieces[piece_id]
        command = UnlinkCommand("test", self.request_id(), piece_id, self.now_s * 1_000_000)
        change, _ = plan_unlink(self.graph, command, rules(self.max_cluster_size), epoch=EPOCH)
        assert change is not None
        self.graph.apply(change)
        if before.keys() & set(names) <= evident:
            assert {name: self.graph.rows[key(name)].person_id for name in before} == before


TestGraphMachine = GraphMachine.TestCase
TestGraphMachine.settings = settings(
    deadline=None,
    max_examples=int(os.environ.get("BIHUAN_EXAMPLES", "200")),
    stateful_step_count=40,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
)
