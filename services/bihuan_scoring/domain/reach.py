"""
How many persons a set holds, as it may be told: with noise that is always the same for the same question.

Noise in layers that stick, as in Diffix (Francis, Probst Eide and Munz 2017, "Diffix: High-Utility Database
Anonymization"): one layer is drawn from the meaning of what is asked, one from the set that answers it. Draws are a
keyed hash, as the pseudorandom Laplace noise of LinkedIn's reports is (Kenthapadi and Tran 2018, "PriPeARL"), so that
asking again averages nothing out, and nobody without the key knows them.

The layer of the set keeps other spellings of one question from averaging the noise out, and draws anew whenever a
person comes or goes. The layer of the question keeps equal answers from proving that two questions reach the same
persons, which a layer of the set alone would (Gadotti et al. 2019, "When the Signal is in the Noise").
"""

import hmac
from statistics import NormalDist
from typing import Final

FLOOR: Final = 50
"""Fewer persons are not told, so that no expression singles anybody out."""
STEP: Final = 10
"""What is told is a multiple of this."""
LAYER_SD: Final = 4.0
"""Standard deviation of each layer, in persons."""
LAYER_MOST: Final = 12.0
"""No layer moves a count by more."""
FLOOR_SPREAD: Final = 10
"""So far above the floor a count may be hidden too, by a draw: else the floor itself would tell one person."""

_NORMAL: Final = NormalDist(0.0, LAYER_SD)


class ReachNoise:
    """Tells counts under a secret key; whoever has the key can take the noise away."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def told(self, count: int, members_sha256: bytes, meaning: str) -> int | None:
        """
        The count with noise, to the nearest ten and at least the floor; None below the floor.

        `members_sha256` is a digest of the exact set, equal for equal sets; `meaning` is equal for questions that say
        the same. A count of `FLOOR` + `FLOOR_SPREAD` or more is always told.
        """
        asked = meaning.encode()
        hidden = int(self._draw(b"floor", asked + b"\0" + members_sha256) * (FLOOR_SPREAD + 1))
        if count < FLOOR + hidden:
            return None
        noisy = count + self._layer(b"set", members_sha256) + self._layer(b"question", asked)
        return max(FLOOR, STEP * round(noisy / STEP))

    def _layer(self, name: bytes, seed: bytes) -> float:
        return max(-LAYER_MOST, min(LAYER_MOST, _NORMAL.inv_cdf(self._draw(name, seed))))

    def _draw(self, name: bytes, seed: bytes) -> float:
        """A number in (0, 1)."""
        digest = hmac.digest(self._key, b"bihuan.scoring.reach.v1\0" + name + b"\0" + seed, "sha256")
        return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
