"""Straight from an audience to a campaign: an ad group that addresses it, and the campaign where there is none yet."""

from dataclasses import dataclass

from bihuan_gateway.control.access import Principal, require_tenant, require_writer
from bihuan_gateway.control.ports import Audiences
from bihuan_gateway.control.resources import Receipt, Resource
from bihuan_gateway.control.specs import AdGroupSpec, AudienceRefs, CampaignSpec, Kind
from bihuan_gateway.control.use_cases import Catalogue
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound


@dataclass(frozen=True, slots=True)
class Launch:
    """
    What is asked for: an ad group in a campaign that is there, or in one that is made with it.

    `group` names the campaign where it is there; its audiences are those that the group excludes.
    """

    audience_id: str
    group: AdGroupSpec
    group_id: str | None = None
    campaign: CampaignSpec | None = None
    campaign_id: str | None = None


@dataclass(frozen=True, slots=True)
class Launcher:
    """Makes both at once or neither."""

    catalogue: Catalogue
    audiences: Audiences

    async def launch(self, principal: Principal, asked: Launch, *, key: str | None = None) -> Resource:
        """
        The ad group, which includes the audience; whatever could not be made leaves nothing behind.

        The same key with the same request answers the same ad group. NotFound for an audience or a campaign of another
        tenant, InvalidArgument where a part does not fit, FailedPrecondition where the audience could not be built,
        AlreadyExists for a taken id or a key used otherwise.
        """
        require_writer(principal)
        audience = await self.catalogue.get(principal, Kind.AUDIENCES, asked.audience_id)
        receipt = _receipt(principal, asked, key)
        store = self.catalogue.store
        if receipt is not None and (made := await store.find_receipt(Kind.AD_GROUPS, receipt)) is not None:
            return made
        if (await self.audiences.status(audience.id)).state == "failed":
            raise FailedPrecondition("the audience could not be built; see its failure")
        campaign, new = await self._campaign(principal, asked, audience.advertiser_id)
        refs = asked.group.audience_ids
        include = AudienceRefs(include=(audience.id,), exclude=refs.exclude)
        spec = asked.group.model_copy(update={"campaign_id": campaign.id, "audience_ids": include})
        await self.catalogue.check_group(spec, campaign, "/ad_group")
        group = self.catalogue.new(Kind.AD_GROUPS, spec, campaign.advertiser_id, asked.group_id)
        made = await store.create_all((campaign, group) if new else (group,), receipt)
        await self.catalogue.after_write(new)
        return made

    async def _campaign(self, principal: Principal, asked: Launch, advertiser_id: str) -> tuple[Resource, bool]:
        """The campaign, and whether it is still to be made."""
        if asked.campaign is not None:
            require_tenant(principal, asked.campaign.advertiser_id, "advertiser")
            if asked.campaign.advertiser_id != advertiser_id:
                raise InvalidArgument.of("/campaign/advertiser_id", "is not whose the audience is")
            made = self.catalogue.new(Kind.CAMPAIGNS, asked.campaign, advertiser_id, asked.campaign_id)
            return made, True
        found = await self.catalogue.store.find(Kind.CAMPAIGNS, asked.group.campaign_id)
        if found is None or found.advertiser_id != advertiser_id:
            raise NotFound("no such campaign")
        return found, False


def _receipt(principal: Principal, asked: Launch, key: str | None) -> Receipt | None:
    if key is None:
        return None
    body = {
        "audience": asked.audience_id,
        "group": [asked.group_id, asked.group.model_dump(mode="json")],
        "campaign": [asked.campaign_id, asked.campaign and asked.campaign.model_dump(mode="json")],
    }
    return Receipt(principal.key_id, key, Receipt.fingerprint_of("launch audience", body))
