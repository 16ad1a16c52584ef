"""
Which version serves whom: one for everyone, one beside it for a share of the persons, one that only watches.

A person's place in a canary follows from the version's name and the person alone, so that the same person always meets
the same model, a larger share keeps everybody of a smaller one, and another canary draws other people.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self, cast

from bihuan_scoring.domain.facts import ScoreItem

_HISTORY = 100
_PLACES = 2**64


@dataclass(frozen=True, slots=True)
class Serving:
    """
    What serves since when. Empty versions stand for the prior, no canary, and no shadow.

    `before` are the versions that served everyone before, oldest first; `withdrawn` those that were rolled back from,
    newest last, and `reasons` why, by version. `canary_share` is the share of persons in (0, 1) whom the canary serves.
    """

    model_version: str = ""
    before: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    since_us: int = 0
    canary: str = ""
    canary_share: float = 0.0
    canary_since_us: int = 0
    shadow: str = ""
    reasons: tuple[tuple[str, str], ...] = ()

    @classmethod
    def noted(cls, document: Mapping[str, object]) -> Self:
        """What `dataclasses.asdict` made of it, read from JSON; what a release before did not note is as if empty."""
        lists = {name: tuple(cast("list[str]", document[name])) for name in ("before", "withdrawn")}
        reasons = tuple((version, why) for version, why in cast("list[list[str]]", document.get("reasons", [])))
        scalars = {
            name: document[name]
            for name in ("model_version", "since_us", "canary", "canary_share", "canary_since_us", "shadow")
            if name in document
        }
        return cls(**lists, **scalars, reasons=reasons)  # type: ignore[arg-type]  # as asdict wrote them

    def published(self, model_version: str, now_us: int = 0) -> "Serving":
        """`model_version` serves everyone; nothing changes where it does already."""
        if model_version == self.model_version:
            return self
        before = (*self.before, self.model_version) if self.model_version else self.before
        return replace(
            self._without(model_version), model_version=model_version, before=before[-_HISTORY:], since_us=now_us
        )

    def canaried(self, model_version: str, share: float, now_us: int = 0) -> "Serving":
        """`model_version` serves a share of the persons; changing the share keeps since when it does."""
        since_us = self.canary_since_us if model_version == self.canary else now_us
        return replace(self._without(model_version), canary=model_version, canary_share=share, canary_since_us=since_us)

    def shadowed(self, model_version: str) -> "Serving":
        """`model_version` scores what is scored, and answers nobody."""
        return replace(self._without(model_version), shadow=model_version)

    def rolled_back(self, from_version: str | None = None, why: str = "") -> "Serving | None":
        """
        Without `from_version` (None: what serves everyone); None where that changes nothing that could be changed.

        A canary or a shadow goes, and whom it served is served by what serves everyone; for what serves everyone, the
        version before serves again.
        """
        going = self.model_version if from_version is None else from_version
        kept = tuple((version, said) for version, said in self.reasons if version != going)
        reasons = (*kept, (going, why))[-_HISTORY:] if why else kept
        if going and going in (self.canary, self.shadow):
            return replace(self._without(going), withdrawn=(*self._others(going), going)[-_HISTORY:], reasons=reasons)
        if going != self.model_version or not self.before:
            return None
        return replace(
            self,
            model_version=self.before[-1],
            before=self.before[:-1],
            withdrawn=(*self._others(going), going)[-_HISTORY:],
            since_us=0,
            reasons=reasons,
        )

    def why(self, model_version: str) -> str:
        """Why a version was withdrawn; empty where it was not, or nobody said."""
        return dict(self.reasons).get(model_version, "") if model_version in self.withdrawn else ""

    def _others(self, model_version: str) -> tuple[str, ...]:
        return tuple(version for version in self.withdrawn if version != model_version)

    def _without(self, model_version: str) -> "Serving":
        """Nothing of a version's former place."""
        kept = replace(self, withdrawn=self._others(model_version))
        if kept.canary == model_version:
            kept = replace(kept, canary="", canary_share=0.0, canary_since_us=0)
        return replace(kept, shadow="") if kept.shadow == model_version else kept


def in_canary(model_version: str, share: float, item: ScoreItem) -> bool:
    """True where the canary serves the item: by the person, and by what was asked for where nobody is known."""
    return _place(model_version, _key(item)) < share * _PLACES


def _key(item: ScoreItem) -> str:
    if item.person is not None and item.person.person_id:
        return str(item.person.person_id)
    # All placements of one decision are asked for at one instant, and must be scored by one version.
    return f"at {item.context.request_time_us}"


def _place(model_version: str, key: str) -> int:
    digest = hashlib.blake2b(f"{model_version}\0{key}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
