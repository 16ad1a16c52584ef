"""Creatives of every state, from the control plane's tables."""

from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.specs import CreativeSpec, Kind


class StoredLandings:
    """Implements the port `Landings`."""

    def __init__(self, store: SqlControlStore) -> None:
        self._store = store

    async def find(self, creative_id: str) -> tuple[str, tuple[str, ...]] | None:
        """Return landing URL and tags of a creative; None where there never was one."""
        resource = await self._store.find(Kind.CREATIVES, creative_id)
        if resource is None or not isinstance(resource.spec, CreativeSpec):
            return None
        return resource.spec.landing_url, tuple(resource.spec.tags)
