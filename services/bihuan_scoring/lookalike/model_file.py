"""A look-alike model as text and back: plain JSON, nothing in it is run."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from bihuan_scoring.lookalike.layout import LAYOUT_VERSION, Layout
from bihuan_scoring.lookalike.linear import Logit
from bihuan_scoring.lookalike.model import LookAlikeModel
from bihuan_shared.errors import FailedPrecondition


def model_to_json(model: LookAlikeModel) -> str:
    """The text; floats keep every bit."""
    layout = asdict(model.layout)
    layout["hidden_tags"] = sorted(model.layout.hidden_tags)
    layout["hidden_attributes"] = sorted(model.layout.hidden_attributes)
    logit = None
    if model.logit is not None:
        logit = {
            "numeric": model.logit.numeric,
            "codes": model.logit.codes,
            "means": model.logit.means.tolist(),
            "inverse_scales": model.logit.inverse_scales.tolist(),
            "weights": model.logit.weights.tolist(),
            "intercept": model.logit.intercept,
        }
    found = {
        "version": LAYOUT_VERSION,
        "layout": layout,
        "logit": logit,
        "trees": model.trees,
        "figures": model.figures,
    }
    return json.dumps(found, sort_keys=True)


def model_from_json(text: str) -> LookAlikeModel:
    """The model; FailedPrecondition where it reads rows of another layout version."""
    found: dict[str, Any] = json.loads(text)
    if found["version"] != LAYOUT_VERSION:
        raise FailedPrecondition("the look-alike model reads features of another version")
    return LookAlikeModel(_layout(found["layout"]), _logit(found["logit"]), found["trees"], found["figures"])


def _layout(found: Mapping[str, Any]) -> Layout:
    return Layout(
        as_of_us=found["as_of_us"],
        tags=tuple(found["tags"]),
        buckets=found["buckets"],
        numbers=tuple(found["numbers"]),
        texts=tuple((name, tuple(values)) for name, values in found["texts"]),
        hidden_tags=frozenset(found["hidden_tags"]),
        hidden_attributes=frozenset(found["hidden_attributes"]),
        kept=None if found["kept"] is None else tuple(found["kept"]),
    )


def _logit(found: Mapping[str, Any] | None) -> Logit | None:
    if found is None:
        return None
    means, scales, weights = (
        np.array(found[name], dtype=np.float64) for name in ("means", "inverse_scales", "weights")
    )
    codes = tuple((column, value) for column, value in found["codes"])
    return Logit(tuple(found["numeric"]), codes, means, scales, weights, found["intercept"])
