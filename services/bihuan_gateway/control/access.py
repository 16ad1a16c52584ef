"""Who may do what: the roles of API keys and the wall between tenants."""

from dataclasses import dataclass
from enum import StrEnum

from bihuan_shared.errors import NotFound, PermissionDenied


class Role(StrEnum):
    """What an API key may do."""

    ADMIN = "admin"
    ADVERTISER = "advertiser"
    ANALYST = "analyst"


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of an API key; `advertiser_id` is the tenant of an advertiser's key and empty otherwise."""

    key_id: str
    role: Role
    advertiser_id: str = ""

    @property
    def tenant(self) -> str | None:
        """The only tenant that the holder sees, None where it sees all."""
        return self.advertiser_id if self.role is Role.ADVERTISER else None


def require_admin(principal: Principal) -> None:
    """Refuse everyone but admins (PermissionDenied)."""
    if principal.role is not Role.ADMIN:
        raise PermissionDenied("only an admin key may do this")


def require_writer(principal: Principal) -> None:
    """Refuse keys that only read (PermissionDenied)."""
    if principal.role is Role.ANALYST:
        raise PermissionDenied("an analyst key only reads")


def require_tenant(principal: Principal, advertiser_id: str, what: str) -> None:
    """Answer as if it did not exist where `what` belongs to another tenant (NotFound)."""
    if principal.tenant not in {None, advertiser_id}:
        raise NotFound(f"no such {what}")


def visible_tenant(principal: Principal, asked: str | None) -> str | None:
    """Return the tenant that a listing is held to, None for all; another's tenant does not exist (NotFound)."""
    if asked is not None:
        require_tenant(principal, asked, "advertiser")
    return principal.tenant or asked
