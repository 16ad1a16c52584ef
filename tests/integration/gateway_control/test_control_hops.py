"""The control plane's adapters against real gRPC servers with the runtime's checks in front of them."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import grpc
import pytest
from pydantic import SecretStr

from bihuan.attribution.v1 import attribution_pb2, event_pb2, ledger_pb2, terms_pb2
from bihuan.attribution.v1.attribution_pb2_grpc import (
    AttributionServiceServicer,
    add_AttributionServiceServicer_to_server,
)
from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceServicer, add_IdentityServiceServicer_to_server
from bihuan.profile.v1 import profile_pb2
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceServicer, add_ProfileServiceServicer_to_server
from bihuan.scoring.v1 import audience_pb2
from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceServicer, add_AudienceServiceServicer_to_server
from bihuan_gateway.control.attribution_hop import AttributionHop
from bihuan_gateway.control.audience_hops import AudienceHop, IdentityHop, TaxonomyHop
from bihuan_gateway.control.insight import AccountReconciliation
from bihuan_gateway.control.order_attribution import ModelQuery, ModelRow
from bihuan_gateway.control.payables_hop import PayablesHop
from bihuan_gateway.control.reports import ReportQuery
from bihuan_gateway.control.reports_hop import ReportsHop
from bihuan_gateway.control.specs import AdvertiserSpec, CommissionRate, FrequencyCap, Member, Pricing
from bihuan_gateway.control.terms import AdvertiserTerms, CampaignTerms, PlacementTerms
from bihuan_gateway.control.terms_hop import TermsHop
from bihuan_gateway.hops import Hops
from bihuan_gateway.settings import Settings
from bihuan_shared.callers import Credential, Role
from bihuan_shared.clock import FixedClock, to_timestamp
from bihuan_shared.errors import FailedPrecondition, Internal, InvalidArgument, NotFound
from bihuan_shared.rpc.server import RunningServer, ServiceApp, start_server
from bihuan_shared.settings import ServerSettings

SECRET = "the-gateway"
Context = grpc.aio.ServicerContext[object, object]


class Attribution(AttributionServiceServicer):
    def __init__(self) -> None:
        self.terms: list[terms_pb2.CampaignTerms] = []
        self.accounts: list[terms_pb2.AdvertiserTerms] = []
        self.placements: list[terms_pb2.PlacementTerms] = []
        self.report: attribution_pb2.QueryReportRequest | None = None

    async def PutTerms(  # noqa: N802 - named by the contract
        self, request: attribution_pb2.PutTermsRequest, context: Context
    ) -> attribution_pb2.PutTermsResponse:
        if any(one.campaign_id == "stale" for one in request.terms):
            raise FailedPrecondition("newer terms are known", reason="STALE_TERMS")
        self.terms.extend(request.terms)
        self.accounts.extend(request.advertisers)
        self.placements.extend(request.placements)
        return attribution_pb2.PutTermsResponse()

    async def Deposit(  # noqa: N802 - named by the contract
        self, request: attribution_pb2.DepositRequest, context: Context
    ) -> attribution_pb2.DepositResponse:
        nanos = request.amount.micros * 1000
        entry = ledger_pb2.LedgerEntry(
            entry_id=7,
            kind="deposit",
            cause_id=request.deposit_id,
            advertiser_id=request.advertiser_id,
            currency=request.amount.currency,
            entry_time=to_timestamp(5),
            postings=[ledger_pb2.Posting(account="bank", amount_nanos=nanos)],
        )
        return attribution_pb2.DepositResponse(entry=entry)

    async def GetBalance(  # noqa: N802 - named by the contract
        self, request: attribution_pb2.GetBalanceRequest, context: Context
    ) -> attribution_pb2.GetBalanceResponse:
        held = attribution_pb2.AccountBalance(account=request.account, currency="USD", balance_nanos=5)
        return attribution_pb2.GetBalanceResponse(balances=[held])

    async def QueryReport(  # noqa: N802 - named by the contract
        self, request: attribution_pb2.QueryReportRequest, context: Context
    ) -> attribution_pb2.QueryReportResponse:
        self.report = request
        row = attribution_pb2.ReportRow(dimension_values=["c1", "2017-01-01"], currency="USD", clicks=2, spend_nanos=9)
        return attribution_pb2.QueryReportResponse(rows=[row], next_page_token="n")

    async def Reconcile(  # noqa: N802 - named by the contract
        self, request: attribution_pb2.ReconcileRequest, context: Context
    ) -> attribution_pb2.ReconcileResponse:
        return attribution_pb2.ReconcileResponse(
            currencies=[attribution_pb2.CurrencyReconciliation(currency="USD", debit_nanos=5, credit_nanos=5)],
            unbilled=[attribution_pb2.UnbilledCount(reason="unmatched", count=2)],
            head_position=4,
            consumers=[attribution_pb2.ConsumerPosition(consumer="billing", position=4)],
            accounts=[
                attribution_pb2.AccountReconciliation(
                    currency="USD", account="platform:cash", ledger_nanos=-2, fold_nanos=3, difference_nanos=-5
                )
            ],
            compared_position=3 if not request.positions_only else 0,
            billed_count=1,
        )

    async def GetAttribution(  # noqa: N802 - named by the contract
        self, request: attribution_pb2.GetAttributionRequest, context: Context
    ) -> attribution_pb2.GetAttributionResponse:
        if request.order_id != "o1":
            raise NotFound("no such order")
        order = event_pb2.Order(order_id="o1", advertiser_id="acme", status=event_pb2.ORDER_STATUS_PAID)
        touch = attribution_pb2.Touch(
            event_type=common_pb2.EVENT_TYPE_CLICK, event_id="e", credit_ppm=1_000_000, relation="direct"
        )
        touch.credits.add(model=attribution_pb2.ATTRIBUTION_MODEL_MARKOV, credit_ppm=5)
        history = attribution_pb2.OrderRestatement(book_time=to_timestamp(6), order_value_micros=7)
        return attribution_pb2.GetAttributionResponse(
            order=order,
            touches=[touch],
            commission_nanos=3,
            commission_state="estimated",
            history=[history],
            weights_time=to_timestamp(8),
        )

    async def CompareModels(  # noqa: N802 - named by the contract
        self, request: attribution_pb2.CompareModelsRequest, context: Context
    ) -> attribution_pb2.CompareModelsResponse:
        assert (request.advertiser_id, request.interval.end_time.seconds) == ("acme", 2)
        row = attribution_pb2.ModelRow(
            campaign_id="c1", model=request.models[0], currency="USD", credited_orders_ppm=4, credited_value_micros=5
        )
        return attribution_pb2.CompareModelsResponse(rows=[row], order_count=1, unattributed_count=2)

    async def VerifyReports(  # noqa: N802 - named by the contract
        self, request: attribution_pb2.VerifyReportsRequest, context: Context
    ) -> attribution_pb2.VerifyReportsResponse:
        difference = attribution_pb2.FigureDifference(dimensions={"campaign": "c1"}, figure="clicks", held=1)
        return attribution_pb2.VerifyReportsResponse(row_count=1, position=2, differences=[difference])


class Identity(IdentityServiceServicer):
    async def BatchResolve(  # noqa: N802 - named by the contract
        self, request: identity_pb2.BatchResolveRequest, context: Context
    ) -> identity_pb2.BatchResolveResponse:
        for index, item in enumerate(request.items):
            if item.identifiers[0].value == "junk":
                raise InvalidArgument.of(f"items[{index}].identifiers[0].value", "is junk")
        results = [identity_pb2.ResolveResult(person_id=int(item.identifiers[0].value)) for item in request.items]
        return identity_pb2.BatchResolveResponse(results=results)


class Profile(ProfileServiceServicer):
    calls = 0

    async def ListTags(  # noqa: N802 - named by the contract
        self, request: profile_pb2.ListTagsRequest, context: Context
    ) -> profile_pb2.ListTagsResponse:
        self.calls += 1
        return profile_pb2.ListTagsResponse(tags=[profile_pb2.Tag(name="age", type=profile_pb2.TAG_TYPE_NUMBER)])


class Audience(AudienceServiceServicer):
    async def CreateAudience(  # noqa: N802 - named by the contract
        self, request: audience_pb2.CreateAudienceRequest, context: Context
    ) -> audience_pb2.CreateAudienceResponse:
        made = audience_pb2.Audience(
            audience_id=request.audience.audience_id,
            state=audience_pb2.AUDIENCE_STATE_READY,
            size=len(request.definition.members.person_ids),
            told_size=round(len(request.definition.members.person_ids), -1),
            progress=1.0,
        )
        return audience_pb2.CreateAudienceResponse(audience=made)


class World:
    """Real servers for the four services, and the gateway's channels to them."""

    def __init__(self) -> None:
        self.attribution = Attribution()  # type: ignore[abstract]  # only what is asked here
        self.profile = Profile()  # type: ignore[abstract]  # only what is asked here
        self.servers: list[RunningServer] = []

    async def start(self, name: str, servicer: object, add: Callable[..., None], service: str) -> str:
        digest = hashlib.sha256(SECRET.encode()).hexdigest()
        settings = ServerSettings(callers=(Credential("gateway", Role.INTERNAL, digest),))

        async def ready() -> bool:
            return True

        app = ServiceApp(name=name, servicers=[(servicer, add, service)], ready=ready)
        running = await start_server(app, settings, FixedClock(0))
        self.servers.append(running)
        return f"127.0.0.1:{running.port}"

    async def hops(self, secret: str = SECRET) -> Hops:
        people = Identity()  # type: ignore[abstract]  # only what is asked here
        lists = Audience()  # type: ignore[abstract]  # only what is asked here
        identity = await self.start(
            "identity", people, add_IdentityServiceServicer_to_server, "bihuan.identity.v1.IdentityService"
        )
        profile = await self.start(
            "profile", self.profile, add_ProfileServiceServicer_to_server, "bihuan.profile.v1.ProfileService"
        )
        scoring = await self.start(
            "scoring", lists, add_AudienceServiceServicer_to_server, "bihuan.scoring.v1.AudienceService"
        )
        attribution = await self.start(
            "attribution",
            self.attribution,
            add_AttributionServiceServicer_to_server,
            "bihuan.attribution.v1.AttributionService",
        )
        return Hops.open(
            Settings(
                caller_secret=SecretStr(secret),
                identity_target=identity,
                profile_target=profile,
                scoring_target=scoring,
                attribution_target=attribution,
            )
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for server in made.servers:
        await server.stop(0)


@pytest.fixture
async def hops(world: World) -> AsyncIterator[Hops]:
    async with AsyncExitStack() as stack:
        opened = await world.hops()
        stack.push_async_callback(opened.close)
        yield opened


def terms(campaign_id: str = "c1", pricing: Pricing | None = None) -> CampaignTerms:
    return CampaignTerms(
        campaign_id=campaign_id,
        advertiser_id="acme",
        version=3,
        effective_time_us=1_500_000,
        currency="USD",
        time_zone="Asia/Shanghai",
        pricing=pricing or Pricing(model="cpm", bid_micros=5, cpm_trigger="viewable"),
        daily_micros=10,
        total_micros=20,
        click_window_days=15,
        view_window_days=0,
        frequency_caps=(FrequencyCap(level="ad_group", window="lifetime", max_impressions=1),),
        stopped=False,
    )


async def test_terms_arrive_whole(hops: Hops, world: World) -> None:
    rates = (CommissionRate(item_id="tea", rate_ppm=0), CommissionRate(category="cups", rate_ppm=9))
    cps = Pricing(
        model="cps", commission_rate_ppm=100_000, promoter_share_ppm=7, expected_order_micros=9, commission_rates=rates
    )
    goods = replace(terms("c2", cps), promoted_items=("tea", "pot"), shop_id="s1")
    await TermsHop(hops.attribution).put_terms([terms(), goods])
    first, second = world.attribution.terms
    assert (first.campaign_id, first.version, first.time_zone) == ("c1", 3, "Asia/Shanghai")
    assert (first.pricing.model, first.pricing.cpm_trigger) == (terms_pb2.PRICING_MODEL_CPM, 2)
    assert (first.effective_time.seconds, first.effective_time.nanos) == (1, 500_000_000)
    assert (first.budget.daily_micros, first.budget.total_micros) == (10, 20)
    assert first.windows.HasField("view_window")
    assert (first.windows.click_window.seconds, first.windows.view_window.seconds) == (15 * 86_400, 0)
    cap = first.frequency_caps[0]
    assert (cap.level, cap.window) == (terms_pb2.CAP_LEVEL_AD_GROUP, terms_pb2.CAP_WINDOW_LIFETIME)
    assert (second.pricing.commission_rate_ppm, second.pricing.promoter_share_ppm) == (100_000, 7)
    assert second.pricing.cpm_trigger == terms_pb2.CPM_TRIGGER_UNSPECIFIED
    assert [(one.WhichOneof("scope"), one.item_id, one.category, one.rate_ppm) for one in second.commission_rates] == [
        ("item_id", "tea", "", 0),
        ("category", "", "cups", 9),
    ]
    assert (list(second.item_ids), second.shop_id) == (["tea", "pot"], "s1")


async def test_terms_of_accounts_and_placements_arrive_whole(hops: Hops, world: World) -> None:
    spec = AdvertiserSpec(display_name="A", currency="CNY", time_zone="Asia/Shanghai", credit_limit_micros=10**15)
    account = AdvertiserTerms("acme", 4, 1_500_000, spec)
    await TermsHop(hops.attribution).put_terms([account, PlacementTerms("p", 9, 2_000_000, "pub", 700_000, "video")])
    (told,) = world.attribution.accounts
    assert (told.advertiser_id, told.version, told.currency, told.time_zone) == ("acme", 4, "CNY", "Asia/Shanghai")
    assert (told.credit_limit_micros, told.HasField("leads"), told.effective_time.nanos) == (10**15, False, 500_000_000)
    (place,) = world.attribution.placements
    assert (place.placement_id, place.version, place.publisher_id) == ("p", 9, "pub")
    assert (place.revenue_share_ppm, place.traffic_source, place.effective_time.seconds) == (700_000, "video", 2)


async def test_what_is_payable_comes_from_the_account_that_was_asked_for(hops: Hops) -> None:
    (held,) = await PayablesHop(hops.attribution).payable("promoter:payable:ann")
    assert (held.account, held.currency, held.balance_nanos) == ("promoter:payable:ann", "USD", 5)
    with pytest.raises(InvalidArgument):
        await PayablesHop(hops.attribution).payable("platform:revenue")


async def test_refusal_of_terms_keeps_its_reason(hops: Hops) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await TermsHop(hops.attribution).put_terms([terms("stale")])
    assert caught.value.reason == "STALE_TERMS"


async def test_money_and_figures_come_back_exact(hops: Hops, world: World) -> None:
    books = AttributionHop(hops.attribution)
    entry = await books.deposit("acme", "d1", currency="USD", amount_micros=10**15)
    assert (entry.entry_id, entry.entry_time_us, entry.postings[0].amount_nanos) == (7, 5, 10**18)
    reconciled = await books.reconcile()
    assert (reconciled.unbilled, reconciled.consumers) == ({"unmatched": 2}, {"billing": 4})
    assert reconciled.accounts == (AccountReconciliation("USD", "platform:cash", -2, 3, -5),)
    assert (reconciled.compared_position, reconciled.billed_count) == (3, 1)
    assert (await books.reconcile(positions_only=True)).compared_position == 0


async def test_reports_and_explanations_come_back_whole(hops: Hops, world: World) -> None:
    reports = ReportsHop(hops.attribution)
    query = ReportQuery(("campaign", "day"), 1_000_000, 2_000_000, "acme", ("c1",), 10, "p", 3_600_000_000)
    rows, token = await reports.report(query)
    assert (rows[0].dimension_values, rows[0].spend_nanos, token) == (("c1", "2017-01-01"), 9, "n")
    assert world.attribution.report is not None
    assert world.attribution.report.interval.start_time.seconds == 1
    assert world.attribution.report.as_of_time.seconds == 3_600
    assert not world.attribution.report.with_reach
    assert list(world.attribution.report.advertiser_ids) == ["acme"]
    order = await reports.attribution_of("acme", "o1")
    assert (order.status, order.touches[0].event_type, order.commission_nanos) == ("paid", "click", 3)
    with pytest.raises(NotFound):
        await reports.attribution_of("acme", "o2")
    assert (order.commission_state, order.weights_time_us) == ("estimated", 8)
    assert (order.touches[0].credits, order.touches[0].relation) == ({"markov": 5}, "direct")
    assert [(one.book_time_us, one.order_value_micros) for one in order.history] == [(6, 7)]
    compared = await reports.compare_models("acme", ModelQuery(1_000_000, 2_000_000, ("linear",)))
    assert compared.rows == (ModelRow("c1", "linear", "USD", 4, 5),)
    assert (compared.order_count, compared.unattributed_count, compared.weights_time_us) == (1, 2, None)
    found = await reports.verify()
    assert (found.row_count, found.position, found.differences[0].dimensions) == (1, 2, {"campaign": "c1"})


async def test_members_become_persons_and_refusals_name_the_member(hops: Hops) -> None:
    people = IdentityHop(hops.identity)
    listed = [Member(namespace="cookie", value=str(number)) for number in (5, 6)]
    assert await people.resolve(listed, first_index=1_000) == [5, 6]
    junk = [*listed, Member(namespace="cookie", value="junk")]
    with pytest.raises(InvalidArgument) as caught:
        await people.resolve(junk, first_index=1_000)
    assert caught.value.violations[0].field == "/members/1002/value"


async def test_audience_is_created_from_persons(hops: Hops) -> None:
    status = await AudienceHop(hops.audiences).create("a1", "acme", "A", expression="", person_ids=range(1, 2_001))
    assert (status.state, status.size) == ("ready", 2_000)


async def test_taxonomy_is_asked_once_and_expressions_are_checked(hops: Hops, world: World) -> None:
    taxonomy = TaxonomyHop(hops.profile)
    await taxonomy.parse("age > 3", "/targeting", {})
    with pytest.raises(InvalidArgument) as caught:
        await taxonomy.parse('age == "x"', "/targeting", {})
    assert caught.value.reason == "EXPRESSION_INVALID"
    assert caught.value.violations[0].field == "/targeting"
    assert world.profile.calls == 1


async def test_a_service_that_refuses_the_gateway_is_a_fault_inside(world: World) -> None:
    opened = await world.hops(secret="wrong")
    try:
        with pytest.raises(Internal):
            await TermsHop(opened.attribution).put_terms([terms()])
    finally:
        await opened.close()
