"""What the use cases need from outside."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.audiences import Audience, LookAlikeOf, MemberSet
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.domain.models import ModelInfo
from bihuan_scoring.domain.readings import Reading
from bihuan_scoring.domain.rollout import Serving
from bihuan_scoring.domain.versions import AudienceVersion
from bihuan_shared.person_change import PersonsChange
from bihuan_shared.targeting import Expression, References, TagType


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Of a click given an impression, and of an order given a click; one a feature row."""

    pctr: Floats
    pcvr: Floats


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Log-odds taken apart, for feature rows.

    `contributions` are (rows, FEATURES); `base` and a row's contributions add up to its `log_odds`, which calibration
    makes its probability.
    """

    contributions: Floats
    base: float
    log_odds: Floats
    probabilities: Floats


def unexplained(rate: float, matrix: Floats) -> Explanation:
    """The explanation of a rate that no feature has a part in."""
    log_odds = float(np.log(rate) - np.log1p(-rate))
    return Explanation(np.zeros(matrix.shape), log_odds, np.full(len(matrix), log_odds), np.full(len(matrix), rate))


class Model(Protocol):
    """A model version that can score."""

    @property
    def model_version(self) -> str:
        """Its version."""
        ...

    @property
    def predictor(self) -> str:
        """What computes its trees, for people."""
        ...

    def predict(self, matrix: Floats) -> Probabilities:
        """Probabilities of feature rows; safe to call from any thread."""
        ...

    def explain(self, matrix: Floats, *, order: bool) -> Explanation:
        """What each feature adds to the log-odds of a click (or an order); safe to call from any thread."""
        ...


class ModelRegistry(Protocol):
    """Versions on durable storage. Methods block."""

    def versions(self) -> Sequence[ModelInfo]:
        """Every version, newest first."""
        ...

    def info(self, model_version: str) -> ModelInfo:
        """What describes a version; NotFound where there is none."""
        ...

    def load(self, model_version: str) -> Model:
        """
        The version, checked.

        Raises NotFound where there is none, FailedPrecondition where it is unsigned or wrongly signed, does not match
        its hashes or was trained on other features.
        """
        ...

    def serving(self) -> Serving:
        """What serves."""
        ...

    def set_serving(self, serving: Serving) -> None:
        """Note durably and atomically what serves."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What was predicted for winners that were shown, and whether they were clicked, one a decision, oldest first."""

    predicted: Floats
    clicked: npt.NDArray[np.bool_]


class Outcomes(Protocol):
    """What became of what was scored."""

    def of(self, model_version: str, since_us: int, until_us: int, window_us: int) -> Seen:
        """
        Shown winners that a version scored in `[since_us, until_us)`, clicked within `window_us` of being shown or not.

        A bounded number of them, the newest ones. Blocks; raises Unavailable where they cannot be read.
        """
        ...


class AudienceStore(Protocol):
    """Definitions and states of audiences, and who was erased."""

    async def insert(self, audience: Audience) -> Audience:
        """The stored audience of that id: this one where there was none, else the one that was first."""
        ...

    async def get(self, audience_id: str) -> Audience | None:
        """One audience."""
        ...

    async def page(self, advertiser_id: str, after_id: str, limit: int) -> Sequence[Audience]:
        """Up to `limit` audiences with ids above `after_id`, by id; an empty advertiser means everyone's."""
        ...

    async def all(self) -> Sequence[Audience]:
        """Every audience, by id."""
        ...

    async def update(self, audiences: Sequence[Audience]) -> None:
        """Store new states of audiences that still exist, in one transaction."""
        ...

    async def delete(self, audience_id: str) -> bool:
        """Delete; True where there was one."""
        ...

    async def put_evidence(self, audience_id: str, evidence: str) -> None:
        """Store what speaks for a look-alike, where it still exists."""
        ...

    async def evidence(self, audience_id: str) -> str:
        """What speaks for a look-alike; empty where there is none, or none yet."""
        ...

    async def history(self, audience_id: str) -> Sequence[AudienceVersion]:
        """The last versions of an audience, newest first, at most 20."""
        ...

    async def erase(self, person_id: int, changed: Sequence[Audience]) -> None:
        """Note that a person was erased, with the audiences that this changed, in one transaction."""
        ...

    async def erased(self) -> frozenset[int]:
        """Every person who was erased."""
        ...

    async def absorbed(self) -> Mapping[int, int]:
        """Every person that lives on under another id, and that id."""
        ...

    async def followed(self) -> int:
        """The last change of who is who that was followed; 0 where there was none."""
        ...

    async def follow(self, change: PersonsChange, changed: Sequence[Audience]) -> None:
        """Note the next change, with the audiences that it changed, in one transaction; nothing where it was noted."""
        ...


class LookAlikeWatch(Protocol):
    """Whoever waits for a look-alike job."""

    def progress(self, share: float) -> None:
        """So much is done, in [0, 1]."""
        ...

    def stopped(self) -> bool:
        """True where nobody waits any more."""
        ...


@dataclass(frozen=True, slots=True)
class LookAlikeTask:
    """Whom to find in a snapshot. `seed_definition` are the expressions that define the seed, as far as known."""

    seed_ids: Sequence[int]
    of: LookAlikeOf
    seed_definition: Sequence[References]


class LookAlikes(Protocol):
    """Snapshots of profiles and the jobs on them, in a folder a name. Methods block."""

    def has_snapshot(self, name: str, not_before_us: int) -> bool:
        """True where a snapshot was finished that was not begun before that instant."""
        ...

    def begin_snapshot(self, name: str, as_of_us: int) -> None:
        """Begin a snapshot; one that was begun before is forgotten."""
        ...

    def add(self, name: str, persons: Sequence[PersonFacts]) -> None:
        """Take persons into the snapshot that was begun; whoever is in already stays as it is."""
        ...

    def finish_snapshot(self, name: str) -> None:
        """The snapshot is whole, and durable."""
        ...

    def expand(self, name: str, task: LookAlikeTask, watch: LookAlikeWatch) -> tuple[Sequence[int], str] | None:
        """
        Persons of the snapshot who are like the seed, and the evidence as text; None where the watch stopped it.

        Goes on where an earlier call with the same task was interrupted. Raises FailedPrecondition where there is too
        little to learn from.
        """
        ...

    def keep_only(self, names: frozenset[str]) -> None:
        """Delete the folders of all other jobs, with every profile in them."""
        ...


class MemberSets(Protocol):
    """Durable sets of person ids. Methods block."""

    def build(self, person_ids: Sequence[int]) -> MemberSet:
        """A set."""
        ...

    def save(self, name: str, members: MemberSet) -> None:
        """Store a set durably under a name, whole or not at all."""
        ...

    def load(self, name: str) -> MemberSet:
        """A stored set; FailedPrecondition where it is missing or damaged."""
        ...

    def keep_only(self, names: frozenset[str]) -> None:
        """Delete every stored set that is not named."""
        ...


class Profiles(Protocol):
    """The profile service. Its methods raise Unavailable where it does not answer."""

    async def taxonomy(self, advertiser_id: str) -> Mapping[str, TagType]:
        """The type of every attribute that expressions of an advertiser may name: the platform's and its own."""
        ...

    def scan(self, advertiser_ids: Collection[str]) -> AsyncIterator[Sequence[PersonFacts]]:
        """
        Every person whose facts may be used for targeting, in batches; a person may come twice.

        Private tags are told of these advertisers, at most 512.
        """
        ...

    def readings(
        self, person_ids: Sequence[int] = (), advertiser_ids: Collection[str] = ()
    ) -> AsyncIterator[Sequence[Reading]]:
        """
        What may be used for targeting of some persons, at most 1,000, or of everyone, in batches.

        Private tags are told of these advertisers, at most 512. Of who is erased or lives on under another id there is
        nothing; a person of everyone may come twice.
        """
        ...


class Everyone(Protocol):
    """Everyone at once, where what is known is up to date."""

    async def members(
        self, expression: Expression, audiences: Mapping[str, MemberSet], now_us: int
    ) -> MemberSet | None:
        """Everyone who fits a checked expression, as a set of its own; None where that has to be found otherwise."""
        ...
