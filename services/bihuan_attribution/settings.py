"""Settings of attribution, from `BIHUAN_ATTRIBUTION_*`."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_shared.settings import ServerSettings


class AttributionSettings(ServerSettings):
    """What attribution can be told by its environment."""

    model_config = SettingsConfigDict(
        env_prefix="BIHUAN_ATTRIBUTION_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    billing_batch: Annotated[int, Field(ge=1, le=20_000)] = 2_000
    """Most events that are billed in one transaction."""
    consumer: Annotated[str, Field(min_length=1, max_length=64)] = "attribution-0"
    """Name of this process among those that follow changes of who is who; unique, and stable over restarts."""
    event_shards: Annotated[int, Field(ge=1, le=64)] = 4
    """How many streams accepted events are spread over."""
    min_click_delay_ms: Annotated[int, Field(ge=0, le=10_000)] = 200
    """A click that comes sooner after its impression is taken for a robot's; 0 lets all pass."""
    clicks_per_creative_hour: Annotated[int, Field(ge=0, le=1_000)] = 1
    """Clicks of one person on one creative that are billable in a clock hour; 0 is no limit. So are the next two."""
    clicks_per_person_hour: Annotated[int, Field(ge=0, le=10_000)] = 20
    """Clicks of one person that are billable in a clock hour."""
    clicks_per_address_hour: Annotated[int, Field(ge=0, le=10_000)] = 30
    """Clicks of one address on one placement that are billable in a clock hour."""

    @property
    def traffic_limits(self) -> TrafficLimits:
        """What is still taken for human."""
        return TrafficLimits(
            self.min_click_delay_ms * 1_000,
            self.clicks_per_creative_hour,
            self.clicks_per_person_hour,
            self.clicks_per_address_hour,
        )
