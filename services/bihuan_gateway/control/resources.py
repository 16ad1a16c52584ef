"""A resource: a spec with a name, an owner and a version; and the rules that span several resources."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from bihuan_gateway.control.fields import Spec
from bihuan_gateway.control.specs import (
    AdGroupSpec,
    AdvertiserSpec,
    AudienceSpec,
    CampaignSpec,
    CreativeSpec,
    Kind,
    PlacementSpec,
    PromoterSpec,
    PublisherSpec,
)
from bihuan_shared.clock import parse_rfc3339_us

SPECS: Mapping[Kind, type[Spec]] = MappingProxyType(
    {
        Kind.ADVERTISERS: AdvertiserSpec,
        Kind.CAMPAIGNS: CampaignSpec,
        Kind.AD_GROUPS: AdGroupSpec,
        Kind.CREATIVES: CreativeSpec,
        Kind.PLACEMENTS: PlacementSpec,
        Kind.AUDIENCES: AudienceSpec,
        Kind.PUBLISHERS: PublisherSpec,
        Kind.PROMOTERS: PromoterSpec,
    }
)
NAMES: Mapping[Kind, str] = MappingProxyType({kind: kind.value[:-1].replace("-", " ") for kind in Kind})
PARENT_FIELDS: Mapping[Kind, tuple[str, Kind]] = MappingProxyType(
    {
        Kind.CAMPAIGNS: ("advertiser_id", Kind.ADVERTISERS),
        Kind.AD_GROUPS: ("campaign_id", Kind.CAMPAIGNS),
        Kind.CREATIVES: ("ad_group_id", Kind.AD_GROUPS),
        Kind.AUDIENCES: ("advertiser_id", Kind.ADVERTISERS),
    }
)
"""The field of a spec that names its parent; it never changes."""
FIXED_FIELDS: Mapping[Kind, tuple[str, ...]] = MappingProxyType({Kind.ADVERTISERS: ("currency", "time_zone")})
"""Further fields that never change."""
TERMED = frozenset({Kind.ADVERTISERS, Kind.PLACEMENTS, Kind.CAMPAIGNS})
"""Kinds whose terms attribution learns."""


@dataclass(frozen=True, slots=True)
class Resource:
    """
    One resource at one version.

    `advertiser_id` is its tenant, empty for what belongs to the platform. `terms_acked_version` is the newest version
    of its terms that attribution acknowledged; 0 for none and for kinds that have none.
    """

    kind: Kind
    id: str
    advertiser_id: str
    parent_id: str
    version: int
    create_time_us: int
    update_time_us: int
    spec: Spec
    terms_acked_version: int = 0

    @property
    def terms_acked(self) -> bool:
        """Whether attribution knows the newest terms."""
        return self.terms_acked_version == self.version

    def changed(self, spec: Spec, now_us: int) -> "Resource":
        """Return the next version with another spec."""
        return replace(self, spec=spec, version=self.version + 1, update_time_us=max(now_us, self.update_time_us))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an idempotency key stands for: `caller` scopes it, `fingerprint` is a hash of what was asked."""

    caller: str
    key: str
    fingerprint: str

    @staticmethod
    def fingerprint_of(operation: str, body: object) -> str:
        """Hash an operation and its JSON-ready body in a canonical form."""
        text = json.dumps([operation, body], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def new_name(kind: Kind, random_bytes: bytes) -> str:
    """Name a resource after random bytes; 10 of them make a collision a matter of 10^12 resources."""
    letters = base64.b32encode(random_bytes).decode().rstrip("=").lower()
    return f"{kind.value.split('-')[0].removesuffix('s')}-{letters}"


def start_time_us(spec: CampaignSpec) -> int:
    """Tell when a campaign starts; 0 where the schedule does not say."""
    return parse_rfc3339_us(spec.schedule.start_time) if spec.schedule.start_time else 0


def end_time_us(spec: CampaignSpec) -> int:
    """Tell when a campaign ends; 0 for never."""
    return parse_rfc3339_us(spec.schedule.end_time) if spec.schedule.end_time else 0
