"""`bihuan.scoring.v1.ScoringService` on the wire."""

import grpc

from bihuan.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from bihuan_scoring.domain.facts import Candidate, Context, ScoreItem
from bihuan_scoring.domain.models import PRIOR_VERSION, ModelInfo
from bihuan_scoring.profile_facts import person_facts
from bihuan_scoring.use_cases.scoring import Scored, ServingModel, batch_score
from bihuan_shared.clock import Clock, to_timestamp, to_us
from bihuan_shared.errors import NotYet

ScoreContext = grpc.aio.ServicerContext[scoring_pb2.BatchScoreRequest, scoring_pb2.BatchScoreResponse]
ExplainContext = grpc.aio.ServicerContext[scoring_pb2.ExplainScoreRequest, scoring_pb2.ExplainScoreResponse]
ListContext = grpc.aio.ServicerContext[scoring_pb2.ListModelsRequest, scoring_pb2.ListModelsResponse]
PublishContext = grpc.aio.ServicerContext[scoring_pb2.PublishModelRequest, scoring_pb2.PublishModelResponse]
RollBackContext = grpc.aio.ServicerContext[scoring_pb2.RollBackModelRequest, scoring_pb2.RollBackModelResponse]


class ScoringServicer(scoring_pb2_grpc.ScoringServiceServicer):
    """`bihuan.scoring.v1.ScoringService`."""

    def __init__(self, serving: ServingModel, clock: Clock) -> None:
        self._serving = serving
        self._clock = clock

    async def BatchScore(  # noqa: N802
        self, request: scoring_pb2.BatchScoreRequest, _context: ScoreContext
    ) -> scoring_pb2.BatchScoreResponse:
        """One result an item, one score a candidate index."""
        candidates = [candidate_of(candidate) for candidate in request.candidates]
        now_us = self._clock.now_us()
        items = [_item(item, now_us) for item in request.items]
        return _response(items, await batch_score(self._serving.current, items, candidates))

    async def ExplainScore(  # noqa: N802
        self, _request: scoring_pb2.ExplainScoreRequest, _context: ExplainContext
    ) -> scoring_pb2.ExplainScoreResponse:
        """Not built yet."""
        raise NotYet("scores are not explained yet")

    async def ListModels(  # noqa: N802
        self, _request: scoring_pb2.ListModelsRequest, _context: ListContext
    ) -> scoring_pb2.ListModelsResponse:
        """Every version, newest first."""
        versions, serving = await self._serving.versions()
        return scoring_pb2.ListModelsResponse(models=[_model(info, serving) for info in versions])

    async def PublishModel(  # noqa: N802
        self, request: scoring_pb2.PublishModelRequest, _context: PublishContext
    ) -> scoring_pb2.PublishModelResponse:
        """The version that serves now."""
        info = await self._serving.publish(request.model_version)
        return scoring_pb2.PublishModelResponse(model=_model(info, info.model_version))

    async def RollBackModel(  # noqa: N802
        self, request: scoring_pb2.RollBackModelRequest, _context: RollBackContext
    ) -> scoring_pb2.RollBackModelResponse:
        """The version that serves now."""
        info = await self._serving.roll_back(request.from_model_version)
        return scoring_pb2.RollBackModelResponse(model=_model(info, info.model_version))


def candidate_of(message: scoring_pb2.Candidate) -> Candidate:
    """A candidate of the wire."""
    return Candidate(message.creative_id, message.campaign_id, message.advertiser_id, tuple(message.tags))


def _item(message: scoring_pb2.ScoreItem, now_us: int) -> ScoreItem:
    context = message.context
    return ScoreItem(
        person=person_facts(message.profile) if message.HasField("profile") else None,
        context=Context(
            request_time_us=to_us(context.request_time) if context.HasField("request_time") else now_us,
            placement_id=context.placement_id,
            channel=context.channel,
            traffic_source=context.traffic_source,
            keywords=tuple(context.keywords),
        ),
        candidate_indexes=tuple(message.candidate_indexes),
    )


def _response(items: list[ScoreItem], scored: Scored) -> scoring_pb2.BatchScoreResponse:
    response = scoring_pb2.BatchScoreResponse(model_version=scored.model_version)
    pctr = iter(scored.probabilities.pctr.tolist())
    pcvr = iter(scored.probabilities.pcvr.tolist())
    for item in items:
        add = response.results.add().scores.add
        for index in item.candidate_indexes:
            add(candidate_index=index, pctr=next(pctr), pcvr=next(pcvr))
    return response


def _model(info: ModelInfo, serving: str) -> scoring_pb2.Model:
    return scoring_pb2.Model(
        model_version=info.model_version,
        create_time=to_timestamp(info.create_time_us),
        serving=info.model_version == serving and serving != PRIOR_VERSION,
        metrics=dict(info.metrics),
    )
