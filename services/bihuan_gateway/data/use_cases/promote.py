"""Promoters' links: each visit through one becomes a click of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from bihuan_gateway.control.promoter_link import open_link
from bihuan_gateway.control.snapshot import Creative, SnapshotSource
from bihuan_shared.clock import Clock
from bihuan_shared.errors import NotFound
from bihuan_shared.tokens import NONCE_BYTES, KeyRing, TrackingToken

_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Promote:
    """Turns a promoter's link into a tracking token for one visit."""

    snapshots: SnapshotSource
    keys: KeyRing
    clock: Clock
    random_bytes: Callable[[int], bytes]

    def mint(self, link_text: str) -> str:
        """
        Seal a token for one visit through a link.

        It names nobody: a plain visit tells no identifier and no consent, so that an order joins by its click id. There
        was no decision, no placement and no reservation either. Raises TokenInvalid for a link that is not genuine,
        InvalidArgument (TOKEN_EXPIRED) for one that is too old, and NotFound while what it promotes is not on offer.
        """
        now_us = self.clock.now_us()
        link = open_link(self.keys, link_text, now_us)
        creative = self._on_offer(link.campaign_id, link.creative_id, now_us)
        group, campaign = creative.ad_group, creative.ad_group.campaign
        token = TrackingToken(
            token_id=self.random_bytes(_ID_BYTES).hex(),
            decision_id="",
            creative_id=creative.id,
            placement_id="",
            campaign_id=campaign.id,
            advertiser_id=campaign.advertiser.id,
            ad_group_id=group.id,
            terms_version=campaign.terms_version,
            pricing_model="cps",
            price_micros=0,
            currency=campaign.advertiser.currency,
            person_id=0,
            issue_time_us=now_us,
            expire_time_us=now_us + campaign.token_ttl_us,
            reserve_nanos=0,
            reservation_id="",
            promoter_id=link.promoter_id,
            sub_id=link.sub_id,
        )
        return self.keys.seal(token, self.random_bytes(NONCE_BYTES))

    def _on_offer(self, campaign_id: str, creative_id: str, now_us: int) -> Creative:
        creative = self.snapshots.current().creatives.get(creative_id)
        campaign = creative.ad_group.campaign if creative is not None else None
        if creative is None or campaign is None or campaign.id != campaign_id:
            raise NotFound("what this link promotes is not on offer")
        if campaign.pricing_model != "cps" or not campaign.serves_at(now_us):
            raise NotFound("what this link promotes is not on offer")
        return creative
