"""
Markov and Shapley over synthetic paths, beside the packages of PyPI that do the same, in one run on one core.

The peers are installed into an environment of their own (`.bihuan/bench/credit-peers`), and only for this; where that
fails their figures are null and `*_reason` says why. Both sides start from their natural input in memory: ours from
`PathCount` rows, one a person, with the time to number them; ChannelAttribution from its frame of strings,
shapley-attribution from lists. ChannelAttribution simulates (its defaults: to within 5 %), ours is exact, so there are
two differences of removal effects: from what it simulated, and from its own transition probabilities solved with each
channel deleted. Writes `.bihuan/bench/credit-models.json`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from credit_paths import CHANNELS, Journeys, journeys
from figures import commit, machine, write

from bihuan_attribution.domain.credit.channel_weights import WHOLE_WEIGHT
from bihuan_attribution.domain.credit.markov import removal_effects
from bihuan_attribution.domain.credit.paths import PathCount, PathTable
from bihuan_attribution.domain.credit.shapley import shapley

BENCH = Path(".bihuan/bench")
PEERS = ("ChannelAttribution==2.2.5", "shapley-attribution==2.1.0", "matplotlib>=3.10", "pandas>=2.3")
INSTALL_TIMEOUT_S = 300
PEER_TIMEOUT_S = 900
Found = TypeVar("Found")


def figures(paths: int) -> dict[str, object]:
    """Measure both models on so many synthetic paths; `*_ratio` is the peer's time over ours."""
    started_s = time.monotonic()
    people = journeys(paths)
    rows = [
        PathCount(path, bought, 1 - bought) for path, bought in zip(people.paths(), people.bought.tolist(), strict=True)
    ]
    effects, markov_s = _timed(lambda: removal_effects(rows))
    weights, shapley_s = _timed(lambda: shapley(rows))
    _, table_s = _timed(lambda: PathTable.of(rows))
    rows.clear()
    peers = _peers(people)
    ours = dict(zip(effects.channels, effects.effects.tolist(), strict=True))
    return {
        "data": "synthetic, seeded",
        "paths": paths,
        "channels": CHANNELS,
        "steps": len(people.codes),
        "conversions": int(people.bought.sum()),
        "table_s": round(table_s, 3),
        **_side("markov", markov_s, peers["markov"]),
        **_markov_differences(ours, peers["markov"]),
        **_side("shapley", shapley_s, peers["shapley"]),
        "shapley_max_abs_difference": _shapley_difference(weights, peers["shapley"]),
        "machine": machine(),
        "commit": commit(),
        "duration_s": round(time.monotonic() - started_s, 1),
    }


def _timed(work: Callable[[], Found]) -> tuple[Found, float]:
    started_s = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started_s


def _side(model: str, ours_s: float, peer: Mapping[str, Any]) -> dict[str, object]:
    """Our time, the peer's and their ratio, or why there is none."""
    if "reason" in peer:
        found: dict[str, object] = {f"peer_{model}_s": None, f"{model}_ratio": None, f"{model}_reason": peer["reason"]}
    else:
        found = {
            f"peer_{model}_s": round(peer["seconds"], 3),
            f"{model}_ratio": round(peer["seconds"] / ours_s, 2),
            f"peer_{model}": peer["package"],
        }
    return {f"{model}_s": round(ours_s, 3), **found}


def _markov_differences(ours: Mapping[str, float], peer: Mapping[str, Any]) -> dict[str, object]:
    if "reason" in peer:
        return {"markov_max_abs_difference": None, "markov_max_abs_difference_solved": None}
    solved = _solve(peer["channels"], peer["transitions"])
    return {
        "markov_max_abs_difference": _largest(ours, peer["effects"]),
        "markov_max_abs_difference_solved": _largest(ours, solved),
    }


def _solve(channels: Sequence[str], transitions: Sequence[tuple[str, str, float]]) -> dict[str, float]:
    """Removal effects by deleting each channel in turn; the peer numbers channels from 1 in the order of its answer."""
    size = len(channels)
    places = {"(start)": 0, **{str(number): number for number in range(1, size + 1)}}
    moves, gains = np.zeros((size + 1, size + 1)), np.zeros(size + 1)
    for here, there, chance in transitions:
        if there == "(conversion)":
            gains[places[here]] = chance
        elif there != "(null)":
            moves[places[here], places[there]] = chance
    whole = np.linalg.solve(np.eye(size + 1) - moves, gains)[0]
    found = {}
    for number, name in enumerate(channels, 1):
        kept = [place for place in range(size + 1) if place != number]
        left = np.linalg.solve(np.eye(size) - moves[np.ix_(kept, kept)], gains[kept])[0]
        found[name] = float(1 - left / whole)
    return found


def _shapley_difference(weights: Mapping[str, int], peer: Mapping[str, Any]) -> float | None:
    """Difference of the shares of all conversions."""
    if "reason" in peer:
        return None
    total = sum(peer["values"].values())
    shares = {name: value / total for name, value in peer["values"].items()}
    return _largest({name: weight / WHOLE_WEIGHT for name, weight in weights.items()}, shares)


def _largest(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float:
    return float(f"{max(abs(ours[name] - theirs[name]) for name in ours):.3g}")


def _peers(people: Journeys) -> dict[str, Mapping[str, Any]]:
    """What the peers found, or `reason`."""
    python = BENCH / "credit-peers" / "bin" / "python"
    try:
        if not python.exists():
            _run([sys.executable, "-m", "venv", str(python.parent.parent)], INSTALL_TIMEOUT_S)
        _run([str(python), "-m", "pip", "install", "--quiet", *PEERS], INSTALL_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        reason = {"reason": f"the peers do not install here: {_said(error)}"}
        return {"markov": reason, "shapley": reason}
    with tempfile.TemporaryDirectory() as folder:
        columns = Path(folder) / "paths.npz"
        np.savez(columns, codes=people.codes, starts=people.starts, bought=people.bought)
        return {model: _peer(python, model, columns) for model in ("markov", "shapley")}


def _peer(python: Path, model: str, columns: Path) -> Mapping[str, Any]:
    script = Path(__file__).with_name("credit_peers.py")
    answer = columns.with_name(f"{model}.json")
    try:
        _run([str(python), str(script), model, str(columns), str(answer)], PEER_TIMEOUT_S)
        found: Mapping[str, Any] = json.loads(answer.read_text())
    except (subprocess.SubprocessError, OSError) as error:
        return {"reason": f"the peer does not run here: {_said(error)}"}
    return found


def _run(command: Sequence[str], timeout_s: int) -> None:
    one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(  # noqa: S603 - our own commands
        command, check=True, capture_output=True, text=True, timeout=timeout_s, env={**os.environ, **one_core}
    )


def _said(error: Exception) -> str:
    """The last line of what a command said, or the error."""
    lines = str(getattr(error, "stderr", None) or "").strip().splitlines()
    return lines[-1] if lines else repr(error)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=BENCH / "credit-models.json")
    arguments = parser.parse_args()
    write(arguments.out, figures(arguments.paths))


if __name__ == "__main__":
    main()
