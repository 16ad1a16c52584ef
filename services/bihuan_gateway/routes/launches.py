"""Straight from an audience to a campaign."""

from typing import Annotated, Self

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, model_validator

from bihuan_gateway.control.fields import BidMicros, DisplayName, Keyword, ResourceId, Spec
from bihuan_gateway.control.launching import Launch
from bihuan_gateway.control.specs import AdGroupSpec, AudienceRefs, CampaignSpec, Status
from bihuan_gateway.routes.ad_groups import AdGroupView
from bihuan_gateway.routes.wire import Caller, Control, Key, Named, control_router, document, spec_of

router = control_router("audiences")


class LaunchedCampaign(CampaignSpec):
    """A campaign that is made with the ad group; the id is made where none is given."""

    id: ResourceId | None = None


class LaunchedGroup(Spec):
    """The ad group; beside its audience it may ask for more, and leave other audiences out."""

    id: ResourceId | None = None
    display_name: DisplayName
    targeting: Annotated[str, Field(max_length=4096)] = ""
    exclude_audience_ids: Annotated[tuple[ResourceId, ...], Field(max_length=64)] = ()
    keywords: Annotated[tuple[Keyword, ...], Field(max_length=1000)] = ()
    placement_ids: Annotated[tuple[ResourceId, ...], Field(max_length=1000)] = ()
    bid_micros: BidMicros = 0
    status: Status = "active"

    def spec(self, campaign_id: str) -> AdGroupSpec:
        """The ad group of a campaign, without the audience that is launched."""
        return AdGroupSpec.model_construct(
            campaign_id=campaign_id,
            display_name=self.display_name,
            targeting=self.targeting,
            audience_ids=AudienceRefs(exclude=self.exclude_audience_ids),
            keywords=self.keywords,
            placement_ids=self.placement_ids,
            bid_micros=self.bid_micros,
            status=self.status,
        )


class LaunchAsked(Spec):
    """A campaign that is there or one to make, and the ad group to make in it."""

    campaign_id: ResourceId | None = None
    campaign: LaunchedCampaign | None = None
    ad_group: LaunchedGroup

    @model_validator(mode="after")
    def _one_campaign(self) -> Self:
        if (self.campaign_id is None) == (self.campaign is None):
            raise ValueError("exactly one of campaign_id and campaign is needed")
        return self


class LaunchView(BaseModel):
    """What was made."""

    audience_id: str
    campaign_id: str
    ad_group: AdGroupView


@router.post("/v1/audiences/{resource_id}:launch", status_code=201, response_model=LaunchView)
async def launch_audience(
    resource_id: Named, body: LaunchAsked, control: Control, caller: Caller, key: Key = None
) -> JSONResponse:
    """Make an ad group that addresses an audience, and its campaign where none is named: both or neither."""
    asked = Launch(
        resource_id,
        body.ad_group.spec(body.campaign_id or ""),
        body.ad_group.id,
        spec_of(CampaignSpec, body.campaign) if body.campaign is not None else None,
        body.campaign.id if body.campaign is not None else None,
    )
    group = await control.launcher.launch(caller, asked, key=key)
    written = {"audience_id": resource_id, "campaign_id": group.parent_id, "ad_group": document(group)}
    return JSONResponse(written, status_code=201, headers={"location": f"/v1/ad-groups/{group.id}"})
