"""The wire side of profile: translates between messages and the domain, decides nothing."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial

import grpc

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2, profile_pb2_grpc
from bihuan_profile import wire
from bihuan_profile.domain.governance import Purpose, permit_for_batch_work
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.domain.view import ProfileView
from bihuan_profile.explaining_wire import explanation_message
from bihuan_profile.held_wire import export_response
from bihuan_profile.metrics import count_results
from bihuan_profile.scanning_wire import scan_responses
from bihuan_profile.social_wire import relations_of
from bihuan_profile.tags_wire import private_tags_of, tag_message
from bihuan_profile.use_cases import ingesting, knowing, relating
from bihuan_profile.use_cases.erasing import delete_profile
from bihuan_profile.use_cases.explaining import explain_profile
from bihuan_profile.use_cases.exporting import Sources, export_profile
from bihuan_profile.use_cases.knowing import NO_ADVERTISERS
from bihuan_profile.use_cases.ports import Backoff, History, Jobs, Journal, ProfileStore
from bihuan_profile.use_cases.private_retention import PrivateRetention
from bihuan_profile.use_cases.private_tags import PrivateTags, delete_tags, put_tags
from bihuan_profile.use_cases.rebuilding import require_who_is_who
from bihuan_profile.use_cases.relating import EdgeJournal
from bihuan_profile.use_cases.scanning import Scan
from bihuan_profile.use_cases.taking_back import TakingBack
from bihuan_shared.callers import Role, current_caller
from bihuan_shared.clock import Clock

GetContext = grpc.aio.ServicerContext[profile_pb2.GetProfileRequest, profile_pb2.GetProfileResponse]
BatchGetContext = grpc.aio.ServicerContext[profile_pb2.BatchGetProfilesRequest, profile_pb2.BatchGetProfilesResponse]
IngestContext = grpc.aio.ServicerContext[profile_pb2.IngestEventsRequest, profile_pb2.IngestEventsResponse]
SetContext = grpc.aio.ServicerContext[profile_pb2.SetAttributesRequest, profile_pb2.SetAttributesResponse]
ScanContext = grpc.aio.ServicerContext[profile_pb2.ScanProfilesRequest, profile_pb2.ScanProfilesResponse]
ExplainContext = grpc.aio.ServicerContext[profile_pb2.ExplainProfileRequest, profile_pb2.ExplainProfileResponse]
ExportContext = grpc.aio.ServicerContext[profile_pb2.ExportProfileRequest, profile_pb2.ExportProfileResponse]
EdgesContext = grpc.aio.ServicerContext[profile_pb2.PutSocialEdgesRequest, profile_pb2.PutSocialEdgesResponse]
PutTagsContext = grpc.aio.ServicerContext[profile_pb2.PutTagsRequest, profile_pb2.PutTagsResponse]
DeleteContext = grpc.aio.ServicerContext[profile_pb2.DeleteProfileRequest, profile_pb2.DeleteProfileResponse]
ListContext = grpc.aio.ServicerContext[profile_pb2.ListTagsRequest, profile_pb2.ListTagsResponse]


RebuildContext = grpc.aio.ServicerContext[profile_pb2.RebuildProfileRequest, profile_pb2.RebuildProfileResponse]
DeleteTagsContext = grpc.aio.ServicerContext[profile_pb2.DeleteTagsRequest, profile_pb2.DeleteTagsResponse]


class ProfileServicer(profile_pb2_grpc.ProfileServiceServicer):
    """`bihuan.profile.v1.ProfileService`."""

    def __init__(
        self,
        store: ProfileStore,
        taxonomy: Taxonomy,
        clock: Clock,
        backoff: Backoff,
        journal: Journal,
        edges: EdgeJournal,
        private: PrivateTags,
        jobs: Jobs,
        history: History,
        retention: PrivateRetention,
        population: Callable[[], Population | None] = lambda: None,
    ) -> None:
        self._store = store
        self._taxonomy = taxonomy
        self._clock = clock
        self._backoff = backoff
        self._journal = journal
        self._edges = edges
        self._private = private
        self._population = population
        self._jobs = jobs
        self._history = history
        self._retention = retention

    async def GetProfile(  # noqa: N802
        self, request: profile_pb2.GetProfileRequest, _context: GetContext
    ) -> profile_pb2.GetProfileResponse:
        """One profile."""
        query = wire.query_of(request)
        (view,) = await self._views([query])
        return profile_pb2.GetProfileResponse(profile=wire.profile_message(query.person_id, view))

    async def BatchGetProfiles(  # noqa: N802
        self, request: profile_pb2.BatchGetProfilesRequest, _context: BatchGetContext
    ) -> profile_pb2.BatchGetProfilesResponse:
        """One profile a query, in the same order."""
        queries = [wire.query_of(query) for query in request.queries]
        views = await self._views(queries)
        answer = profile_pb2.BatchGetProfilesResponse()
        for query, view in zip(queries, views, strict=True):
            wire.fill_profile(answer.profiles.add(), query.person_id, view)
        return answer

    async def _views(self, queries: list[knowing.Query]) -> Iterator[ProfileView]:
        advertisers = NO_ADVERTISERS.union(*(query.advertiser_ids for query in queries))
        if advertisers and is_partner():
            queries, advertisers = [replace(one, advertiser_ids=NO_ADVERTISERS) for one in queries], NO_ADVERTISERS
        taxonomy = await self._private.for_advertisers(self._taxonomy, advertisers)
        return await knowing.get_profiles(self._store, taxonomy, self._clock.now_us(), queries, self._population())

    async def IngestEvents(  # noqa: N802
        self, request: profile_pb2.IngestEventsRequest, _context: IngestContext
    ) -> profile_pb2.IngestEventsResponse:
        """One result an event, in the same order."""
        now_us = self._clock.now_us()
        submissions = wire.submissions_of(request.events, now_us)
        results = await ingesting.ingest_events(self._store, self._backoff, now_us, submissions, self._journal)
        count_results("call", results)
        return profile_pb2.IngestEventsResponse(
            results=[
                profile_pb2.IngestResult(
                    event_id=event.event_id,
                    outcome=profile_pb2.IngestOutcome.ValueType(result.outcome),
                    reason=result.reason,
                )
                for event, result in zip(request.events, results, strict=True)
            ]
        )

    async def SetAttributes(  # noqa: N802
        self, request: profile_pb2.SetAttributesRequest, _context: SetContext
    ) -> profile_pb2.SetAttributesResponse:
        """How many attributes changed."""
        now_us = self._clock.now_us()
        updates = wire.fact_updates_of(request.updates, now_us)
        names = {name for update in updates for name, _ in update.facts}
        taxonomy = await self._private.for_names(self._taxonomy, names)
        if request.validate_only:
            knowing.check_facts(taxonomy, now_us, updates)
            return profile_pb2.SetAttributesResponse()
        changed = await knowing.set_attributes(self._store, self._backoff, taxonomy, now_us, updates, self._journal)
        return profile_pb2.SetAttributesResponse(changed_count=changed)

    async def ScanProfiles(  # noqa: N802
        self, request: profile_pb2.ScanProfilesRequest, _context: ScanContext
    ) -> AsyncIterator[profile_pb2.ScanProfilesResponse]:
        """Every profile, or those of some persons."""
        advertisers = frozenset(request.advertiser_ids)
        taxonomy = await self._private.for_advertisers(self._taxonomy, advertisers)
        permit = permit_for_batch_work(Purpose(request.purpose), advertisers)
        scan = Scan(self._store, taxonomy, permit, self._population())
        async for response in scan_responses(scan, request, self._clock):
            yield response

    async def ExplainProfile(  # noqa: N802
        self, request: profile_pb2.ExplainProfileRequest, _context: ExplainContext
    ) -> profile_pb2.ExplainProfileResponse:
        """Every rule that may be told, and how many may not."""
        query, now_us = wire.query_of(request), self._clock.now_us()
        told, withheld = await explain_profile(self._store, self._taxonomy, now_us, query)
        explanations = [explanation_message(one) for one in told]
        return profile_pb2.ExplainProfileResponse(explanations=explanations, withheld_count=withheld)

    async def ExportProfile(  # noqa: N802
        self, request: profile_pb2.ExportProfileRequest, _context: ExportContext
    ) -> AsyncIterator[profile_pb2.ExportProfileResponse]:
        """Everything that is held about a person."""
        person_id = wire.person_id_of(request.person)
        await require_who_is_who(self._jobs)
        taxonomy_for = partial(self._private.for_names, self._taxonomy)
        sources = Sources(self._store, self._journal, self._edges, self._history, taxonomy_for, self._retention)
        async for some in export_profile(sources, self._population(), self._clock.now_us(), person_id):
            yield export_response(some)

    async def RebuildProfile(  # noqa: N802
        self, request: profile_pb2.RebuildProfileRequest, _context: RebuildContext
    ) -> profile_pb2.RebuildProfileResponse:
        """What the person was made of."""
        person_id = wire.person_id_of(request.person)
        await require_who_is_who(self._jobs)
        made = await TakingBack(self._store, self._backoff, self._journal, self._history).remake(person_id)
        if made is None:
            return profile_pb2.RebuildProfileResponse()
        return profile_pb2.RebuildProfileResponse(
            person=common_pb2.PersonRef(person_id=made.person_id),
            event_count=made.events,
            attribute_count=made.facts,
        )

    async def PutSocialEdges(  # noqa: N802
        self, request: profile_pb2.PutSocialEdgesRequest, _context: EdgesContext
    ) -> profile_pb2.PutSocialEdgesResponse:
        """One result an edge, in the same order."""
        now_us = self._clock.now_us()
        relations = relations_of(request.edges, now_us)
        results = await relating.put_edges(self._store, self._edges, now_us, relations)
        return profile_pb2.PutSocialEdgesResponse(
            results=[
                profile_pb2.IngestResult(
                    outcome=profile_pb2.IngestOutcome.ValueType(result.outcome), reason=result.reason
                )
                for result in results
            ]
        )

    async def PutTags(  # noqa: N802
        self, request: profile_pb2.PutTagsRequest, _context: PutTagsContext
    ) -> profile_pb2.PutTagsResponse:
        """How many tags are new or changed."""
        tags = private_tags_of(request)
        changed = await put_tags(self._private, self._backoff, request.advertiser_id, request.version, tags)
        return profile_pb2.PutTagsResponse(changed_count=changed)

    async def DeleteProfile(  # noqa: N802
        self, request: profile_pb2.DeleteProfileRequest, _context: DeleteContext
    ) -> profile_pb2.DeleteProfileResponse:
        """Whether there was anything to erase."""
        person_id = wire.person_id_of(request.person)
        await require_who_is_who(self._jobs)
        deleted = await delete_profile(self._store, self._backoff, self._journal, person_id, self._clock.now_us())
        return profile_pb2.DeleteProfileResponse(deleted=deleted)

    async def DeleteTags(  # noqa: N802
        self, request: profile_pb2.DeleteTagsRequest, _context: DeleteTagsContext
    ) -> profile_pb2.DeleteTagsResponse:
        """How many tags ended."""
        ended = {tag.name: tag.lives for tag in request.tags}
        count = await delete_tags(self._private, self._backoff, request.advertiser_id, request.version, ended)
        return profile_pb2.DeleteTagsResponse(deleted_count=count)

    async def ListTags(  # noqa: N802
        self, request: profile_pb2.ListTagsRequest, _context: ListContext
    ) -> profile_pb2.ListTagsResponse:
        """The taxonomy, with the private tags of the advertiser asked for; partners get the platform's only."""
        inside = not is_partner()
        taxonomy = self._taxonomy
        if inside and request.advertiser_id:
            taxonomy = await self._private.as_stored(taxonomy, request.advertiser_id)
        return profile_pb2.ListTagsResponse(
            tags=[tag_message(tag) for tag in taxonomy.tags],
            taxonomy_version=taxonomy.version,
            store_epoch=await self._private.store.epoch() if inside else "",
        )


def is_partner() -> bool:
    """Whether a partner makes the running call."""
    return current_caller().role is Role.PARTNER
