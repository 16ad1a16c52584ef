"""
Compiled trees beside the model: `<root>/.compiled/<version>/<target>-<key>.trees`.

The key is a hash of the trees' text, the compiler's versions and the processor, so that an object is used only where
it was made for. Before the object stands a MAC under a secret of this service: compiled code is executed, so whoever
can write files must not thereby be able to say what runs. `<key>.failed` notes why there is none.
"""

import hashlib
import hmac
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np
import structlog

from bihuan_scoring.compiled_trees import TOLERANCE, CompiledTrees, disagreement, machine_key
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.metrics import COMPILE_SECONDS, TREES_FALLBACKS
from bihuan_scoring.predictor import BoosterTrees, CalibratedResponse, LoadedModel, Response

FOLDER: Final = ".compiled"
_MAC_BYTES: Final = 32
_CONTEXT: Final = b"bihuan.scoring.compiled.v1\0"

_log = structlog.get_logger("bihuan.scoring")


class NotCompiledError(Exception):
    """LightGBM's own predictor serves; the argument says why in one word."""


@dataclass(frozen=True, slots=True)
class TreeCache:
    """
    Compiles the trees of models, within a bound of time, and keeps what came out.

    `secret` authenticates what is kept; without one nothing is kept, and every start compiles anew.
    """

    root: Path
    secret: bytes
    timeout_s: float

    def faster(self, model: LoadedModel) -> LoadedModel:
        """The model on compiled trees, as far as they compile and agree on its sample. Blocks, possibly for minutes."""
        click, order = (
            self._faster(model, target, response)
            for target, response in (("click", model.click), ("order", model.order))
        )
        return replace(model, click=click, order=order)

    def _faster(self, model: LoadedModel, target: str, response: Response) -> Response:
        if not isinstance(response, CalibratedResponse) or response.trees is None or response.fast is not None:
            return response
        try:
            return response.with_fast(self._trees(model.model_version, target, response.trees, model.sample))
        except NotCompiledError as error:
            TREES_FALLBACKS.labels(reason=str(error)).inc()
            _log.warning("trees serve uncompiled", model_version=model.model_version, target=target, reason=str(error))
            return response

    def _trees(self, model_version: str, target: str, trees: BoosterTrees, sample: Floats) -> CompiledTrees:
        if not len(sample):
            raise NotCompiledError("no_sample")
        try:
            key = hashlib.sha256(f"{machine_key()}\0{trees.text}".encode()).hexdigest()
        except (ImportError, RuntimeError) as error:
            raise NotCompiledError("unavailable") from error
        path = self.root / FOLDER / model_version / f"{target}-{key}.trees"
        code = self._kept(path)
        if code is None:
            code = self._compile(path, trees.text, sample)
            self._keep(path, code)
        try:
            compiled = CompiledTrees(code)
        except (RuntimeError, OSError) as error:
            raise NotCompiledError("failed") from error
        difference = disagreement(trees, compiled, sample)
        if difference > TOLERANCE:
            _log.error("compiled trees disagree", model_version=model_version, target=target, difference=difference)
            raise NotCompiledError("disagreement")
        return compiled

    def _compile(self, path: Path, text: str, sample: Floats) -> bytes:
        failed = path.with_suffix(".failed")
        self._check_former(failed)
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="bihuan-trees-") as folder:
            model, rows, target = (Path(folder) / name for name in ("model.txt", "sample.npy", "trees.o"))
            model.write_text(text)
            np.save(rows, sample)
            command = [sys.executable, "-m", "bihuan_scoring.tree_compiler", str(model), str(rows), str(target)]
            limit = [str(max(1, int(self.timeout_s)))]
            try:
                subprocess.run([*command, *limit], check=True, capture_output=True, timeout=self.timeout_s)  # noqa: S603  # our own module
                code = target.read_bytes()
            except (subprocess.SubprocessError, OSError) as error:
                reason = "timeout" if isinstance(error, subprocess.TimeoutExpired) else "failed"
                _write(failed, json.dumps({"reason": reason, "timeout_s": self.timeout_s}).encode())
                raise NotCompiledError(reason) from error
        COMPILE_SECONDS.observe(time.monotonic() - started_s)
        return code

    def _check_former(self, failed: Path) -> None:
        """What did not compile is not tried again within the same time."""
        try:
            former = json.loads(failed.read_bytes())
            reason, enough = str(former["reason"]), float(former["timeout_s"]) >= self.timeout_s
        except (OSError, ValueError, KeyError, TypeError):
            return
        if enough:
            raise NotCompiledError(reason)

    def _kept(self, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
        except OSError:
            return None
        mac, code = content[:_MAC_BYTES], content[_MAC_BYTES:]
        return code if self.secret and hmac.compare_digest(mac, self._mac(path.name, code)) else None

    def _keep(self, path: Path, code: bytes) -> None:
        if self.secret:
            _write(path, self._mac(path.name, code) + code)

    def _mac(self, name: str, code: bytes) -> bytes:
        return hmac.digest(self.secret, _CONTEXT + name.encode() + b"\0" + code, "sha256")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all. A cache needs no more: what a crash loses is compiled again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    draft.write_bytes(content)
    draft.replace(path)
