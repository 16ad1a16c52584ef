"""Where a local stack keeps things, and what it tells others about itself."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The paths below one state folder."""

    root: Path

    @property
    def secrets(self) -> Path:
        """Credentials, mode 0600."""
        return self.root / "secrets.json"

    @property
    def stack(self) -> Path:
        """What runs now and where; present only while a stack is up."""
        return self.root / "stack.json"

    @property
    def lock(self) -> Path:
        """Held by the one stack that may use the folder."""
        return self.root / "stack.lock"

    @property
    def valkey(self) -> Path:
        """Data of the embedded Valkey."""
        return self.root / "valkey"

    @property
    def lake(self) -> Path:
        """Parquet files."""
        return self.root / "lake"

    @property
    def models(self) -> Path:
        """Scoring's model registry."""
        return self.root / "scoring" / "models"

    def service(self, name: str) -> Path:
        """A service's own folder: its SQLite file, its spool, its registry."""
        return self.root / name

    def log(self, name: str) -> Path:
        """Where a process writes its log."""
        return self.root / "logs" / f"{name}.log"


@dataclass(frozen=True, slots=True)
class RunningStack:
    """What `stack.json` tells: addresses, and the pid of every process."""

    gateway_url: str
    targets: dict[str, str]
    clock: str
    supervisor_pid: int
    pids: dict[str, int] = field(default_factory=dict)
    redis_url: str | None = None
    """The embedded engine; None where the environment names another, whose URL may hold a password."""

    def write(self, path: Path) -> None:
        """Replace the file whole."""
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=2))
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The stack that runs, or None where the file is absent or its supervisor is gone."""
        try:
            stack = cls(**json.loads(path.read_text()))
            os.kill(stack.supervisor_pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return None
        return stack


def service_setting(service: str, name: str) -> str | None:
    """A service's setting as the environment has it: its own, else the one of all services."""
    return os.environ.get(f"BIHUAN_{service.upper()}_{name}") or os.environ.get(f"BIHUAN_{name}")
