"""
Runs one peer over paths of a file and writes what it found as JSON; started in an environment of the peers' own.

`credit_peers.py markov|shapley paths.npz found.json`. The file holds the columns of `credit_paths.Journeys`. What the
peer reads is made before the clock starts.
"""

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from credit_paths import Journeys


def markov(paths: Sequence[tuple[str, ...]], bought: Sequence[int]) -> dict[str, object]:
    """ChannelAttribution as it comes, on one core, with a higher limit of steps so that no simulation is cut short."""
    import ChannelAttribution as peer  # noqa: N813, PLC0415 - only the peers' environment has them
    import pandas as pd  # noqa: PLC0415

    names = [" > ".join(path) for path in paths]
    frame = pd.DataFrame({"path": names, "yes": bought, "no": [1 - one for one in bought]})
    started_s = time.perf_counter()
    found = peer.markov_model(
        frame, "path", "yes", var_null="no", out_more=True, max_step=10_000, verbose=False, flg_pro=False
    )
    return {
        "seconds": time.perf_counter() - started_s,
        "package": f"ChannelAttribution {version('ChannelAttribution')}",
        "effects": dict(found["removal_effects"].itertuples(index=False)),
        "channels": list(found["removal_effects"]["channel_name"]),
        "transitions": [[str(a), str(b), float(p)] for a, b, p in found["transition_matrix"].itertuples(index=False)],
    }


def shapley(paths: Sequence[tuple[str, ...]], bought: Sequence[int]) -> dict[str, object]:
    """Take the set-based, exact model of shapley-attribution; of the same definition as ours."""
    from shapley_attribution import SimplifiedShapleyAttribution  # noqa: PLC0415

    rows = [list(path) for path in paths]
    started_s = time.perf_counter()
    found = SimplifiedShapleyAttribution().fit(rows, bought).get_attribution()
    return {
        "seconds": time.perf_counter() - started_s,
        "package": f"shapley-attribution {version('shapley-attribution')}",
        "values": {str(name): float(value) for name, value in found.items()},
    }


def main() -> None:
    """Run one peer."""
    model, paths_file, found_file = sys.argv[1:]
    with np.load(paths_file) as columns:
        people = Journeys(columns["codes"], columns["starts"], columns["bought"])
    found = {"markov": markov, "shapley": shapley}[model](people.paths(), people.bought.tolist())
    Path(found_file).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
