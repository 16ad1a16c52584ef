"""`bihuan.scoring.v1.ScoringService` on the wire."""

import grpc

from bihuan.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from bihuan_scoring.domain.facts import Candidate, Context, ScoreItem
from bihuan_scoring.profile_facts import person_facts
from bihuan_scoring.rpc.models import mode_of, model_message
from bihuan_scoring.use_cases.comparing import Comparisons
from bihuan_scoring.use_cases.explaining import explain_score
from bihuan_scoring.use_cases.scoring import Scored, batch_score
from bihuan_scoring.use_cases.serving import ServingModel
from bihuan_shared.clock import Clock, to_us
from bihuan_shared.errors import InvalidArgument

ScoreContext = grpc.aio.ServicerContext[scoring_pb2.BatchScoreRequest, scoring_pb2.BatchScoreResponse]
ExplainContext = grpc.aio.ServicerContext[scoring_pb2.ExplainScoreRequest, scoring_pb2.ExplainScoreResponse]
ListContext = grpc.aio.ServicerContext[scoring_pb2.ListModelsRequest, scoring_pb2.ListModelsResponse]
PublishContext = grpc.aio.ServicerContext[scoring_pb2.PublishModelRequest, scoring_pb2.PublishModelResponse]
RollBackContext = grpc.aio.ServicerContext[scoring_pb2.RollBackModelRequest, scoring_pb2.RollBackModelResponse]


class ScoringServicer(scoring_pb2_grpc.ScoringServiceServicer):
    """`bihuan.scoring.v1.ScoringService`."""

    def __init__(self, serving: ServingModel, clock: Clock, comparisons: Comparisons) -> None:
        self._serving = serving
        self._clock = clock
        self._comparisons = comparisons

    async def BatchScore(  # noqa: N802
        self, request: scoring_pb2.BatchScoreRequest, _context: ScoreContext
    ) -> scoring_pb2.BatchScoreResponse:
        """One result an item, one score a candidate index."""
        candidates = [candidate_of(candidate) for candidate in request.candidates]
        now_us = self._clock.now_us()
        items = [_item(item, now_us) for item in request.items]
        return _response(items, await batch_score(self._serving.routes, items, candidates, self._comparisons))

    async def ExplainScore(  # noqa: N802
        self, request: scoring_pb2.ExplainScoreRequest, _context: ExplainContext
    ) -> scoring_pb2.ExplainScoreResponse:
        """What each feature adds to one score."""
        item = _item(request.item, self._clock.now_us())
        order = request.outcome == scoring_pb2.OUTCOME_ORDER
        found = await explain_score(self._serving.routes, item, candidate_of(request.candidate), order=order)
        response = scoring_pb2.ExplainScoreResponse(
            base_log_odds=found.base,
            log_odds=found.log_odds,
            probability=found.probability,
            model_version=found.model_version,
        )
        for feature, value, contribution in found.contributions:
            response.contributions.add(feature=feature, value=value, contribution=contribution)
        return response

    async def ListModels(  # noqa: N802
        self, _request: scoring_pb2.ListModelsRequest, _context: ListContext
    ) -> scoring_pb2.ListModelsResponse:
        """Every version, newest first."""
        return scoring_pb2.ListModelsResponse(models=[model_message(each) for each in await self._serving.versions()])

    async def PublishModel(  # noqa: N802
        self, request: scoring_pb2.PublishModelRequest, _context: PublishContext
    ) -> scoring_pb2.PublishModelResponse:
        """The version that was published."""
        mode = mode_of(request.mode)
        if mode is None:
            raise InvalidArgument.of("mode", "is not known")
        self._comparisons.forget(request.model_version)
        published = await self._serving.publish(request.model_version, mode, request.share, self._clock.now_us())
        return scoring_pb2.PublishModelResponse(model=model_message(published))

    async def RollBackModel(  # noqa: N802
        self, request: scoring_pb2.RollBackModelRequest, _context: RollBackContext
    ) -> scoring_pb2.RollBackModelResponse:
        """The version that serves everyone now."""
        registered = await self._serving.roll_back(request.from_model_version, "asked for")
        return scoring_pb2.RollBackModelResponse(model=model_message(registered))


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
    for position, item in enumerate(items):
        result = response.results.add(model_version=scored.canary_version if position in scored.canaried else "")
        add = result.scores.add
        for index in item.candidate_indexes:
            add(candidate_index=index, pctr=next(pctr), pcvr=next(pcvr))
    return response
