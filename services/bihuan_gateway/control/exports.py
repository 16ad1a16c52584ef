"""Audiences as person tokens of a partner."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bihuan_gateway.control.access import Principal, require_admin
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.use_cases import Catalogue

ExportPurpose = Literal["targeting", "personalisation", "measurement", "insight"]


@dataclass(frozen=True, slots=True)
class ExportPart:
    """Tokens; the last part tells how many were sent, and about how many members were left out."""

    tokens: Sequence[str]
    sent_count: int = 0
    left_out_count: int | None = None


class PackageExports(Protocol):
    """Scoring, as it exports audiences."""

    def export(self, audience_id: str, partner: str, purpose: ExportPurpose) -> AsyncIterator[ExportPart]:
        """
        Stream the tokens of the members.

        NotFound, FailedPrecondition where the audience is not ready or (BELOW_FLOOR) too small, InvalidArgument at
        `/partner` for a partner that may have no tokens.
        """
        ...


@dataclass(frozen=True, slots=True)
class ExportDesk:
    """Exports for admins: what a partner gets is between it and the platform."""

    catalogue: Catalogue
    exports: PackageExports

    async def export(
        self, principal: Principal, audience_id: str, partner: str, purpose: ExportPurpose
    ) -> AsyncIterator[ExportPart]:
        """Stream an audience (PermissionDenied but for admins; else as `PackageExports.export`)."""
        require_admin(principal)
        await self.catalogue.get(principal, Kind.AUDIENCES, audience_id)
        async for part in self.exports.export(audience_id, partner, purpose):
            yield part
