"""Scoring and audiences over gRPC."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bihuan.common.v1 import common_pb2
from bihuan.scoring.v1 import audience_pb2, scoring_pb2
from bihuan_gateway.control.snapshot import Creative
from bihuan_gateway.data.hops.coalescer import Coalescer
from bihuan_gateway.data.hops.profile import ServedProfile
from bihuan_gateway.data.ports import ScoreContext, ScoreQuery, Scores
from bihuan_shared.clock import to_timestamp

if TYPE_CHECKING:  # stubs of asyncio exist for type checkers only
    from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceAsyncStub
    from bihuan.scoring.v1.scoring_pb2_grpc import ScoringServiceAsyncStub

MAX_CANDIDATES = 2_000


class GrpcScorer:
    """Implements the port `Scorer`."""

    def __init__(
        self, scoring: "ScoringServiceAsyncStub", audiences: "AudienceServiceAsyncStub", *, timeout_s: float
    ) -> None:
        self._scoring = scoring
        self._audiences = audiences
        self._memberships = Coalescer[int, frozenset[str]](
            self._memberships_of_many, timeout_s=timeout_s, timeless=True
        )
        self._score = Coalescer[ScoreQuery, Scores](self._score_many, timeout_s=timeout_s, max_items=256, timeless=True)

    async def memberships(self, person_id: int) -> frozenset[str]:
        """Return the audiences that a person is in; merged with other calls."""
        return await self._memberships.ask_one(person_id)

    async def score(self, query: ScoreQuery) -> Scores:
        """Score the creatives of a query; merged with other calls."""
        return await self._score.ask_one(query)

    async def close(self) -> None:
        """Wait for the calls in flight."""
        await self._memberships.close()
        await self._score.close()

    async def _memberships_of_many(self, person_ids: Sequence[int]) -> list[frozenset[str]]:
        persons = [common_pb2.PersonRef(person_id=person_id) for person_id in person_ids]
        request = audience_pb2.BatchGetMembershipsRequest(persons=persons)
        response = await self._audiences.BatchGetMemberships(request)
        return [frozenset(membership.audience_ids) for membership in response.memberships]

    async def _score_many(self, queries: Sequence[ScoreQuery]) -> list[Scores]:
        scores: list[Scores] = []
        for part in _parts(queries):
            request = _request(part)
            response = await self._scoring.BatchScore(request)
            scores += [
                Scores(
                    result.model_version or response.model_version,
                    tuple((score.pctr, score.pcvr) for score in result.scores),
                )
                for result in response.results
            ]
        return scores


def _parts(queries: Sequence[ScoreQuery]) -> Iterator[list[ScoreQuery]]:
    """Split queries so that each part names at most MAX_CANDIDATES creatives; most often there is one part."""
    part: list[ScoreQuery] = []
    named: set[str] = set()
    for query in queries:
        ids = {creative.id for creative in query.creatives}
        if part and len(named | ids) > MAX_CANDIDATES:
            yield part
            part, named = [], set()
        part.append(query)
        named |= ids
    if part:
        yield part


def _request(queries: Sequence[ScoreQuery]) -> scoring_pb2.BatchScoreRequest:
    """Write queries with one table of the creatives that any of them names."""
    table: dict[str, tuple[int, Creative]] = {}
    items = []
    for query in queries:
        indexes = []
        for creative in query.creatives:
            if creative.id not in table:
                table[creative.id] = (len(table), creative)
            indexes.append(table[creative.id][0])
        item = scoring_pb2.ScoreItem(context=_context(query.context), candidate_indexes=indexes)
        if isinstance(query.profile, ServedProfile):
            item.profile.CopyFrom(query.profile.message)
        items.append(item)
    return scoring_pb2.BatchScoreRequest(
        candidates=[_candidate(creative) for _, creative in table.values()], items=items
    )


def _candidate(creative: Creative) -> scoring_pb2.Candidate:
    campaign = creative.ad_group.campaign
    return scoring_pb2.Candidate(
        creative_id=creative.id, campaign_id=campaign.id, advertiser_id=campaign.advertiser.id, tags=creative.tags
    )


def _context(context: ScoreContext) -> scoring_pb2.Context:
    return scoring_pb2.Context(
        placement_id=context.placement_id,
        channel=context.channel,
        traffic_source=context.traffic_source,
        keywords=context.keywords,
        request_time=to_timestamp(context.request_time_us),
    )
