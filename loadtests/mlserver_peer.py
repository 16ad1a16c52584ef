"""MLServer's LightGBM runtime, installed into an environment of its own and asked over gRPC on this machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bihuan_shared.embedded import free_port, tied_to_parent

# 1.7.1 does not run on uvloop 0.23; protobuf stubs of 1.7.1 are read by every later protobuf.
PACKAGES = ("mlserver==1.7.1", "mlserver-lightgbm==1.7.1", "uvloop==0.21.0", "lightgbm==4.7.0")
INSTALL_TIMEOUT_S = 900
RUN_TIMEOUT_S = 900
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def ask_mlserver(
    bench: Path, folder: Path, model_text: str, rows: npt.NDArray[np.float64], cores: tuple[int, int]
) -> Mapping[str, Any]:
    """
    What MLServer takes for the rows, the server on the first core and its client on the second; else `reason`.

    `us_per_row` by rows a request, `package`, and `first`: the probabilities of the first 100 rows.
    """
    try:
        python = _environment(bench / "mlserver")
        return _measured(python, folder, model_text, rows, cores)
    except (subprocess.SubprocessError, OSError) as error:
        return {"reason": f"MLServer does not install or run here: {_said(error)}"}


def _environment(folder: Path) -> Path:
    python = (folder / "bin" / "python").absolute()
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(folder)], INSTALL_TIMEOUT_S)
    _run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], INSTALL_TIMEOUT_S)
    return python


def _measured(
    python: Path, folder: Path, model_text: str, rows: npt.NDArray[np.float64], cores: tuple[int, int]
) -> Mapping[str, Any]:
    served = folder / "mlserver"
    served.mkdir()
    (served / "model.bst").write_text(model_text)
    np.save(folder / "rows.npy", rows)
    http, port, metrics = free_port(), free_port(), free_port()
    ports = {"http_port": http, "grpc_port": port, "metrics_port": metrics, "host": "127.0.0.1"}
    # Without workers it is faster here than with its default of one.
    settings = ports | {"parallel_workers": 0, "grpc_max_message_length": 100_000_000}
    (served / "settings.json").write_text(json.dumps(settings))
    model = {"name": "response", "implementation": "mlserver_lightgbm.LightGBMModel"}
    (served / "model-settings.json").write_text(json.dumps(model | {"parameters": {"uri": "./model.bst"}}))
    command = _on_core(cores[0], [str(python.with_name("mlserver")), "start", str(served)])
    with (folder / "mlserver.log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - our own command
            tied_to_parent(command), stdout=log, stderr=log, env={**os.environ, **ONE_THREAD}
        )
        try:
            answer = folder / "mlserver.json"
            client = [str(python), str(Path(__file__).with_name("mlserver_client.py"))]
            asked = [*client, str(port), str(folder / "rows.npy"), str(answer)]
            _run(_on_core(cores[1], asked), RUN_TIMEOUT_S)
            found: Mapping[str, Any] = json.loads(answer.read_text())
        finally:
            server.terminate()
            server.wait()
    return found


def _on_core(core: int, command: Sequence[str]) -> list[str]:
    pin = shutil.which("taskset")
    return [pin, "--cpu-list", str(core), *command] if pin else list(command)


def _run(command: Sequence[str], timeout_s: int) -> None:
    subprocess.run(  # noqa: S603 - our own commands
        command, check=True, capture_output=True, text=True, timeout=timeout_s, env={**os.environ, **ONE_THREAD}
    )


def _said(error: Exception) -> str:
    """The last line of what a command said, or the error."""
    lines = str(getattr(error, "stderr", None) or "").strip().splitlines()
    return lines[-1] if lines else repr(error)
