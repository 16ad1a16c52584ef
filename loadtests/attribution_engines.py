"""The stores of an attribution server that may be killed: Valkey, and SQLite or PostgreSQL."""

import random
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from local_postgres import LocalPostgres

from bihuan_shared.embedded import EmbeddedValkey


@dataclass(slots=True)
class Engines:
    """What a server stands on, and how each of it dies and comes back."""

    state: Path
    valkey: EmbeddedValkey
    postgres: LocalPostgres | None
    valkey_kills: int = 0
    postgres_kills: int = 0

    @classmethod
    def start(cls, state: Path, engine: str) -> "Engines":
        """Start them; `engine` is `sqlite` or `postgres`."""
        valkey = EmbeddedValkey.start(state / "valkey")
        return cls(state, valkey, LocalPostgres.create(state / "postgres") if engine == "postgres" else None)

    @property
    def database_url(self) -> str:
        """The database of attribution."""
        return self.postgres.url if self.postgres is not None else f"sqlite:///{self.state / 'attribution.db'}"

    def kill_one(self, dice: random.Random) -> None:
        """Kill an engine and start it again on the data that it left; blocks."""
        if self.postgres is not None and dice.random() < 0.5:  # noqa: PLR2004 - one of two
            self.postgres.kill()
            self.postgres.start()
            self.postgres_kills += 1
            return
        self.valkey.process.kill()
        self.valkey.process.wait()
        self.valkey = EmbeddedValkey.start(self.state / "valkey", port=self.valkey.port)
        self.valkey_kills += 1

    def stop(self) -> None:
        """End them."""
        self.valkey.stop()
        if self.postgres is not None:
            self.postgres.kill()

    def connect(self) -> sa.Engine:
        """The database as an auditor opens it, beside the server."""
        if self.postgres is None:
            return sa.create_engine(self.database_url)
        return sa.create_engine(self.database_url, connect_args={"options": "-c search_path=attribution"})
