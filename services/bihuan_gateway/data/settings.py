"""What the data plane can be told by its environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DataSettings(BaseSettings):
    """Settings of the data plane, read once from `BIHUAN_GATEWAY_*`."""

    model_config = SettingsConfigDict(
        env_prefix="BIHUAN_GATEWAY_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    decision_timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 500
    """Time of one decision; each hop but the last gets at most 40 % of it."""
    beacon_timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 1_000
    """Time that attribution has to commit a beacon before it goes to the spool."""
    decision_retention_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    """Days for which a repeated request gets its first answer; a replay keeps all of them."""
    booked_poll_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    """How often attribution is asked for the days that are sold."""
    prior_pctr: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Click probability where scoring does not answer."""
    prior_pcvr: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Order probability where scoring does not answer."""
    trusted_proxies: Annotated[int, Field(ge=0, le=16)] = 0
    """Our proxies before the gateway: the client is so many from the right in `X-Forwarded-For`, which 0 ignores."""
    data_centre_file: Path | None = None
    """File of networks whose traffic is no traffic of people: CIDR notation, one a line, read at the start."""
    consent_vendor_id: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Our id on the IAB's Global Vendor List: when set, a TC string must allow this vendor too."""
    consent_purpose_one_countries: Annotated[str, Field(pattern=r"^([A-Z]{2}(,[A-Z]{2})*)?$")] = ""
    """Countries (`AA,BB`) whose law asks for no consent to TCF purpose 1, where a string leaves it undisclosed."""
    leases: bool = True
    """Hold leases of budgets, so that most decisions need no call for them; never in a replay."""
    lease_ceiling_micros: Annotated[int, Field(ge=0, le=10**12)] = 10_000_000
    """Most that this process sets aside of one campaign ahead of its decisions."""
    spool_dir: Path | None = None
    """Folder of the spool, on a volume that outlives the process; `gateway/spool` in the state folder when absent."""
    spool_max_bytes: Annotated[int, Field(ge=1 << 20)] = 1 << 30
    """Bytes on disk beyond which beacons are refused with 503."""
