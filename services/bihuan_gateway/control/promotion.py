"""Personal promotion: links that promoters share, and what is payable to those who bring visitors."""

from collections.abc import Callable
from dataclasses import dataclass

from bihuan_gateway.control.access import Principal, require_admin, require_writer
from bihuan_gateway.control.fields import ResourceId, Spec, SubId
from bihuan_gateway.control.insight import Balance
from bihuan_gateway.control.ports import LinkStore, Payables
from bihuan_gateway.control.promoter_link import LINK_LIFE_US, IssuedLink, PromoterLink, seal_link
from bihuan_gateway.control.resources import NAMES, Receipt
from bihuan_gateway.control.specs import CampaignSpec, Kind
from bihuan_gateway.control.use_cases import Catalogue
from bihuan_shared.clock import Clock
from bihuan_shared.errors import FailedPrecondition, InvalidArgument
from bihuan_shared.tokens import NONCE_BYTES, KeyRing

_ID_BYTES = 16


class LinkSpec(Spec):
    """What a link promotes: a creative of a CPS campaign. `sub_id` is the promoter's own name of the channel."""

    campaign_id: ResourceId
    creative_id: ResourceId
    sub_id: SubId = ""


@dataclass(frozen=True, slots=True)
class PromotionDesk:
    """
    Gives out links and tells what is payable.

    `keys` is None where the gateway was given none, as only a gateway without tracking may be.
    """

    catalogue: Catalogue
    links: LinkStore
    payables: Payables
    keys: KeyRing | None
    clock: Clock
    random_bytes: Callable[[int], bytes]

    async def create_link(
        self, principal: Principal, promoter_id: str, spec: LinkSpec, *, key: str | None = None
    ) -> IssuedLink:
        """
        Give out a link of a promoter to a creative of a campaign that the caller may change.

        Errors as in `Catalogue.create`; InvalidArgument also for a campaign that pays no commission and for a creative
        of another campaign.
        """
        require_writer(principal)
        if self.keys is None:
            raise FailedPrecondition("this gateway has no keys to seal links with")
        await self.catalogue.get(principal, Kind.PROMOTERS, promoter_id)
        receipt = None
        if key is not None:
            body = {"promoter_id": promoter_id, **spec.model_dump(mode="json")}
            receipt = Receipt(principal.key_id, key, Receipt.fingerprint_of("create promoter link", body))
            if (made := await self.links.find_link(receipt)) is not None:
                return made
        await self._check(principal, spec)
        now_us = self.clock.now_us()
        link = PromoterLink(
            link_id=self.random_bytes(_ID_BYTES).hex(),
            promoter_id=promoter_id,
            campaign_id=spec.campaign_id,
            creative_id=spec.creative_id,
            sub_id=spec.sub_id,
            expire_time_us=now_us + LINK_LIFE_US,
        )
        sealed = seal_link(self.keys, link, self.random_bytes(NONCE_BYTES))
        return await self.links.add_link(IssuedLink(link, sealed, now_us), receipt)

    async def _check(self, principal: Principal, spec: LinkSpec) -> None:
        campaign = await self.catalogue.get(principal, Kind.CAMPAIGNS, spec.campaign_id)
        assert isinstance(campaign.spec, CampaignSpec)
        if campaign.spec.pricing.model != "cps":
            raise InvalidArgument.of("/campaign_id", f"a {campaign.spec.pricing.model} campaign pays no commission")
        creative = await self.catalogue.get(principal, Kind.CREATIVES, spec.creative_id)
        group = await self.catalogue.get(principal, Kind.AD_GROUPS, creative.parent_id)
        if group.parent_id != campaign.id:
            raise InvalidArgument.of("/creative_id", "is of another campaign")

    async def payable(self, principal: Principal, kind: Kind, resource_id: str) -> list[Balance]:
        """Tell what is payable to a promoter or a publisher, by currency (admins; NotFound)."""
        require_admin(principal)
        await self.catalogue.get(principal, kind, resource_id)
        return await self.payables.payable(f"{NAMES[kind]}:payable:{resource_id}")
