"""A shop window of advertisements over fakes of the hops, and an application that holds only the data plane."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from data_plane_fakes import (
    FakeBooked,
    FakeBudgets,
    FakeDecisions,
    FakeEvents,
    FakeIdentities,
    FakeLandings,
    FakeProfiles,
    FakeRecords,
    FakeScorer,
    FakeSpool,
)
from fastapi import FastAPI
from pydantic import SecretStr

from bihuan_gateway import problem
from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.snapshot import (
    AdGroup,
    Advertiser,
    Campaign,
    Creative,
    Placement,
    PricingModel,
    ServingSnapshot,
)
from bihuan_gateway.data.plane import Ports, assemble_routes
from bihuan_gateway.data.settings import DataSettings
from bihuan_gateway.planes import PlaneParts
from bihuan_gateway.settings import Settings
from bihuan_shared.clock import DAY_US, FixedClock
from bihuan_shared.targeting import parse
from bihuan_shared.tokens import KeyRing

NOW_US = 1_700_000_000_000_000
KEYS = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
ACME = Advertiser("acme", "USD", "UTC")


@dataclass(slots=True)
class World:
    """Everything around the data plane; `principal` is who makes the requests."""

    snapshot: ServingSnapshot = field(default_factory=lambda: ServingSnapshot(version=1))
    identities: FakeIdentities = field(default_factory=FakeIdentities)
    profiles: FakeProfiles = field(default_factory=FakeProfiles)
    scorer: FakeScorer = field(default_factory=FakeScorer)
    budgets: FakeBudgets = field(default_factory=FakeBudgets)
    events: FakeEvents = field(default_factory=FakeEvents)
    decisions: FakeDecisions = field(default_factory=FakeDecisions)
    records: FakeRecords = field(default_factory=FakeRecords)
    landings: FakeLandings = field(default_factory=FakeLandings)
    spool: FakeSpool = field(default_factory=FakeSpool)
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW_US))
    principal: Principal = field(default_factory=lambda: Principal("key", Role.ADMIN))
    keys: KeyRing = field(default_factory=lambda: KeyRing.parse(KEYS))
    placements: list[Placement] = field(
        default_factory=lambda: [
            Placement(name, "pub", "feed", "social", 0, 0, 0, "USD") for name in ("home", "side", "foot")
        ]
    )
    creatives: list[Creative] = field(default_factory=list)
    booked: FakeBooked = field(default_factory=FakeBooked)

    def current(self) -> ServingSnapshot:
        return self.snapshot

    def advertise(
        self,
        name: str,
        model: PricingModel = "cpm",
        bid_micros: int = 1_000_000,
        *,
        targeting: str = "",
        audiences: tuple[str, ...] = (),
        keywords: tuple[str, ...] = (),
        advertiser: Advertiser = ACME,
        end_time_us: int = 0,
        size: tuple[int, int] = (0, 0),
        tags: tuple[str, ...] = ("category:tea",),
        creatives: int = 1,
        placements: tuple[str, ...] = (),
    ) -> None:
        """Add a campaign `name` with an ad group and creatives `name-0` and so on."""
        campaign = _campaign(name, advertiser, model, bid_micros, end_time_us)
        group = AdGroup(
            id=f"{name}-group",
            campaign=campaign,
            expression=parse(targeting) if targeting else None,
            include_audiences=frozenset(audiences),
            exclude_audiences=frozenset(),
            keywords=frozenset(keywords),
            placement_ids=frozenset(placements),
            bid_micros=bid_micros,
            names_private="." in targeting,
        )
        self.creatives += [
            Creative(
                id=f"{name}-{number}",
                ad_group=group,
                landing_url=f"https://shop.example/{name}?a=1#top",
                tags=tags,
                width=size[0],
                height=size[1],
                assets='{"title":"Tea"}',
            )
            for number in range(creatives)
        ]
        self.refresh()

    def place(self, name: str, **changes: object) -> None:
        """Change a placement."""
        self.placements = [
            replace(place, **changes) if place.id == name else place  # type: ignore[arg-type]  # names of its fields
            for place in self.placements
        ]
        self.refresh()

    def refresh(self) -> None:
        groups = {creative.ad_group.id: creative.ad_group for creative in self.creatives}
        self.snapshot = ServingSnapshot.of(
            1,
            campaigns=[group.campaign for group in groups.values()],
            ad_groups=groups.values(),
            creatives=self.creatives,
            placements=self.placements,
        )

    def app(self) -> FastAPI:
        settings = Settings(token_keys=SecretStr(KEYS), public_url="https://ads.example")
        parts = PlaneParts(settings, None, None, self.clock, self, _counting_bytes())  # type: ignore[arg-type]  # neither is used
        ports = Ports(
            self.identities,
            self.profiles,
            self.scorer,
            self.budgets,
            self.events,
            self.decisions,
            self.records,
            self.landings,
            self.spool,
            self.booked,
        )
        app = FastAPI()
        problem.install(app)
        app.router.routes.extend(assemble_routes(parts, ports, DataSettings(decision_timeout_ms=60)))
        return app


def _campaign(name: str, advertiser: Advertiser, model: PricingModel, bid_micros: int, end_time_us: int) -> Campaign:
    return Campaign(
        id=name,
        advertiser=advertiser,
        pricing_model=model,
        bid_micros=bid_micros,
        commission_rate_ppm=100_000 if model == "cps" else 0,
        expected_order_micros=50_000_000 if model == "cps" else 0,
        cpm_trigger="impression",
        terms_version=3,
        start_time_us=0,
        end_time_us=end_time_us,
        pacing="asap",
        token_ttl_us=DAY_US,
        capped=False,
    )


def _counting_bytes() -> Callable[[int], bytes]:
    made = 0

    def nonce(size: int) -> bytes:
        nonlocal made
        made += 1
        return made.to_bytes(size, "big")

    return nonce
