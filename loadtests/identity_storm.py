"""Random changes to who is who, sent to a server that keeps dying, and what the reference then says."""

import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from identity_process import DiedError, IdentityForks, IdentityProcess
from identity_reference import Identifier, Reference

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_shared.errors import BihuanError, FailedPrecondition, InvalidArgument, Unavailable

T = TypeVar("T")

NEIGHBOURHOOD = 20
POPULATION = 200
PIECES = 160
"""About as much evidence as there is at any time; beyond it more is undone than done."""
HOT_MEMBERS = 14
FAILPOINTS_A_LIFE = 40
REMEMBERED = 50
MAX_UNANSWERED = 100


class Server:
    """A server that is started again whenever it dies; calls go on until they are answered."""

    def __init__(self, forks: IdentityForks, environment: Mapping[str, str], log: Path, dice: random.Random) -> None:
        self._forks = forks
        self._environment = environment
        self._log = log
        self._dice = dice
        self._life: IdentityProcess | None = None
        self.kills = 0
        self.unanswered = 0
        self.armed = True

    async def call(self, method: str, request: object) -> object:
        """The answer, however many lives it takes. Raises what the service answers as an error."""
        while True:
            life = await self._alive()
            try:
                return await life.call(getattr(life.stub, method), request)
            except DiedError:
                await self._bury(life)
            except Unavailable:
                # Whether it was done is not known either, so it is asked again.
                self.unanswered += 1
                if self.unanswered > MAX_UNANSWERED:
                    raise

    async def end_life(self) -> None:
        """Let the next call meet a server that has just started."""
        if self._life is not None:
            life, self._life = self._life, None
            await life.stop()

    async def _alive(self) -> IdentityProcess:
        while self._life is None or self._life.is_dead:
            if self._life is not None:
                await self._bury(self._life)
            failpoint = self._failpoint() if self.armed else None
            self._life = await IdentityProcess.start(self._forks, self._environment, self._log, failpoint)
        return self._life

    def _failpoint(self) -> str:
        # Publishing has its own pace, so that few lives would end there otherwise.
        if self._dice.random() < 0.15:  # noqa: PLR2004 - about one life in seven
            return "before_publish:1"
        return f"*:{self._dice.randint(1, FAILPOINTS_A_LIFE)}"

    async def _bury(self, life: IdentityProcess) -> None:
        self.kills += 1
        self._life = None
        await life.stop()


class Storm:
    """A seeded sequence of requests, one after the other, each told to the reference once it is acknowledged."""

    def __init__(self, server: Server, reference: Reference, dice: random.Random) -> None:
        self._server = server
        self.reference = reference
        self._dice = dice
        self._made = 0
        self._requests = 0
        self._namespaces_revoked = 0
        self.living: list[Identifier] = [self._new(at) for at in range(POPULATION)]
        self._shared = [self._new(1) for _ in range(2)]
        self._named: dict[str, str] = {}
        self._answered: deque[tuple[str, object, object]] = deque(maxlen=REMEMBERED)
        self.operations: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.surprises: list[str] = []

    async def step(self) -> None:
        """One request, until it is answered."""
        crowded = len(self._named) > PIECES
        steps: dict[Callable[[], Awaitable[None]], float] = {
            self._link: 20 if crowded else 40,
            self._hot_link: 3 if crowded else 6,
            self._unlink: 60 if crowded else 15,
            self._create: 8,
            self._attach: 4,
            self._repeat: 4,
            self._link_barred: 2,
            self._erase: 0.4,
            self._revoke: 0.2,
        }
        (step,) = self._dice.choices(list(steps), list(steps.values()))
        self.operations[step.__name__.strip("_")] += 1
        await step()

    async def _link(self) -> None:
        home = self._dice.randrange(len(self.living))
        near = [
            self.living[(home + self._dice.randrange(NEIGHBOURHOOD)) % len(self.living)]
            for _ in range(self._dice.choice((1, 1, 1, 2, 3)))
        ]
        if self._dice.random() < 0.1:  # noqa: PLR2004 - a tenth connects what is far apart
            near[0] = self._dice.choice(self.living)
        members = list(dict.fromkeys([self.living[home], *near]))
        if len(members) > 1:
            await self._send_link(members)

    async def _hot_link(self) -> None:
        """Tie many to one of two shared browsers, until they are too many."""
        members = dict.fromkeys([self._dice.choice(self._shared)])
        members.update(dict.fromkeys(self._dice.sample(self.living, HOT_MEMBERS)))
        await self._send_link(list(members))

    async def _link_barred(self) -> None:
        """What was erased or given up does not come back."""
        barred = sorted(self.reference.gone)
        if barred:
            await self._send_link([self._dice.choice(barred), self._dice.choice(self.living)])

    async def _send_link(self, members: Sequence[Identifier]) -> None:
        certain = self._dice.random() < 0.7  # noqa: PLR2004 - the rest is inferred
        kind = pb.EVIDENCE_KIND_DETERMINISTIC if certain else pb.EVIDENCE_KIND_PROBABILISTIC
        evidence = pb.Evidence(kind=kind, source="chaos", confidence=1 if certain else self._dice.uniform(0.1, 0.99))
        request = pb.LinkRequest(identifiers=wire(members), evidence=evidence, request_id=self._request_id())
        barred = any(self.reference.is_barred(member) for member in members)
        answer = await self._send("Link", request, refused=barred)
        if isinstance(answer, pb.LinkResponse):
            self.reference.link(answer.evidence_id, members)
            self._named[answer.evidence_id] = request.request_id
            self.outcomes["merges"] += bool(answer.merged_person_ids)
            self.outcomes["quarantined links"] += answer.quarantined
            held = not self.reference.quarantined().isdisjoint(members)
            self._expect(answer.quarantined == held, f"{request.request_id}: quarantined is {answer.quarantined}")

    async def _unlink(self) -> None:
        self._named = {name: request for name, request in self._named.items() if name in self.reference.pieces}
        if not self._named:
            return
        evidence_id = self._dice.choice(list(self._named))
        members = self.reference.pieces[evidence_id]
        request = pb.UnlinkRequest(evidence_id=evidence_id, request_id=self._request_id())
        answer = await self._send("Unlink", request)
        if isinstance(answer, pb.UnlinkResponse):
            self.reference.unlink(evidence_id)
            del self._named[evidence_id]
            partition = self.reference.partition()
            persons = len({partition[member] for member in members})
            self.outcomes["splits"] += persons > 1
            self._expect(len(answer.person_ids) == persons, f"{request.request_id}: {len(answer.person_ids)} persons")

    async def _create(self) -> None:
        """Identifiers that nobody has seen become a person."""
        count = self._dice.choice((1, 1, 2, 4))
        fresh = [self._new(self._dice.randrange(POPULATION)) for _ in range(count)]
        await self._resolve(fresh)
        self.living += fresh

    async def _attach(self) -> None:
        """A new identifier beside a known one becomes part of its person."""
        free = sorted((self.reference.known - self.reference.quarantined()) & set(self.living))
        if free:
            fresh = self._new(self._dice.randrange(POPULATION))
            await self._resolve([self._dice.choice(free), fresh])
            self.living.append(fresh)

    async def _resolve(self, members: Sequence[Identifier]) -> None:
        item = pb.ResolveItem(identifiers=wire(members), create=True)
        await self._send("Resolve", pb.ResolveRequest(item=item))
        self.reference.see(members)

    async def _erase(self) -> None:
        known = sorted(self.reference.known)
        if not known:
            return
        victim = self._dice.choice(known)
        item = pb.ResolveItem(identifiers=wire([victim]))
        found = await self._send("Resolve", pb.ResolveRequest(item=item))
        assert isinstance(found, pb.ResolveResponse)
        person = common_pb2.PersonRef(person_id=found.result.person_id)
        await self._send("DeletePerson", pb.DeletePersonRequest(person=person, request_id=self._request_id()))
        self.reference.erase(self.reference.person_of(victim))
        self._replace_the_dead()

    async def _revoke(self) -> None:
        namespace = f"partner.chaos-{self._namespaces_revoked}"
        self._namespaces_revoked += 1
        while True:
            answer = await self._send("RevokeNamespace", pb.RevokeNamespaceRequest(namespace=namespace))
            if not isinstance(answer, pb.RevokeNamespaceResponse) or answer.done:
                break
        self.reference.revoke(namespace)
        self._replace_the_dead()

    async def _repeat(self) -> None:
        """The same request again changes nothing and is answered as before."""
        if self._answered:
            method, request, before = self._dice.choice(self._answered)
            again = await self._server.call(method, request)
            self._expect(again == before, f"{method}: a repeat was answered otherwise")

    async def _send(self, method: str, request: object, *, refused: bool = False) -> object:
        try:
            answer = await self._server.call(method, request)
        except BihuanError as error:
            expected = refused and isinstance(error, FailedPrecondition | InvalidArgument)
            self._expect(expected, f"{method}: {error.reason} {error.detail}")
            return None
        self._expect(not refused, f"{method}: was not refused")
        if method in {"Link", "Unlink"}:
            self._answered.append((method, request, answer))
        return answer

    def _expect(self, holds: bool, surprise: str) -> None:  # noqa: FBT001 - reads like an assertion
        if not holds:
            self.surprises.append(surprise)

    def _request_id(self) -> str:
        self._requests += 1
        return f"chaos {self._requests}"

    def _new(self, place: int) -> Identifier:
        self._made += 1
        namespaces = ("login", "cookie", "cookie", "gaid", f"partner.chaos-{self._namespaces_revoked}")
        namespace = namespaces[place % len(namespaces)]
        return namespace, f"{self._made:08x}-0000-4000-8000-000000000001" if namespace == "gaid" else f"n{self._made}"

    def _replace_the_dead(self) -> None:
        self._shared = [self._new(1) if self.reference.is_barred(one) else one for one in self._shared]
        kept = [identifier for identifier in self.living if not self.reference.is_barred(identifier)]
        fresh = [self._new(at) for at in range(max(0, POPULATION - len(kept)))]
        self.living = [*kept, *fresh]
        self._dice.shuffle(self.living)


def wire(identifiers: Sequence[Identifier]) -> list[common_pb2.Identifier]:
    """Identifiers as requests carry them."""
    return [common_pb2.Identifier(namespace=namespace, value=value) for namespace, value in identifiers]
