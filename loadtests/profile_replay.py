"""Orders of the files into a profile service, at the times of the files, and profiles out of it."""

import asyncio
from collections.abc import Sequence

from profile_process import ProfileProcess
from profile_truth import Purchase

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_profile.domain.population import Population
from bihuan_profile.profile_store.population_in_redis import RedisPopulationStore
from bihuan_shared.clock import reset_replay_time, set_replay_time_us, to_timestamp

BATCH = 1_000
CALLS_AT_ONCE = 4
POPULATION_TIMEOUT_S = 60.0
CURRENCY = "USD"
CONSENT = common.Consent(
    purposes=[common.PURPOSE_INSIGHT], data_classes=[common.DATA_CLASS_OPERATION, common.DATA_CLASS_TRANSACTION]
)


class ReplayedService:
    """One profile service on an empty store."""

    def __init__(self, server: ProfileProcess, populations: RedisPopulationStore) -> None:
        self._server = server
        self._populations = populations

    async def tell(self, purchases: Sequence[Purchase], now_us: int) -> None:
        """Take in orders at `now_us`, 1,000 a call."""
        gate = asyncio.Semaphore(CALLS_AT_ONCE)

        async def one_call(batch: Sequence[Purchase]) -> None:
            async with gate:
                answer = await self._call(now_us, "IngestEvents", pb.IngestEventsRequest(events=map(_event, batch)))
            assert isinstance(answer, pb.IngestEventsResponse)
            wrong = [one for one in answer.results if one.outcome != pb.INGEST_OUTCOME_ACCEPTED]
            assert not wrong, f"{len(wrong)} orders were not taken in, the first because of {wrong[0].reason}"

        batches = [purchases[start : start + BATCH] for start in range(0, len(purchases), BATCH)]
        await asyncio.gather(*map(one_call, batches))

    async def population(self, now_us: int, persons: int) -> Population:
        """The first generation that holds as of `now_us`, which must be later than that of the one before."""
        await self._call(now_us, "ListTags", pb.ListTagsRequest())
        async with asyncio.timeout(POPULATION_TIMEOUT_S):
            while True:
                found = await self._populations.read()
                if found is not None and found.built_us >= now_us:
                    assert found.persons == persons, f"{found.persons} persons in place of {persons}"
                    # The server reads it at most half a second later.
                    await asyncio.sleep(1.0)
                    return found
                await asyncio.sleep(0.1)

    async def read(self, person_ids: Sequence[int], now_us: int) -> dict[int, pb.Profile]:
        """The profiles of persons at `now_us`."""
        found: dict[int, pb.Profile] = {}
        for start in range(0, len(person_ids), BATCH):
            queries = [
                pb.ProfileQuery(person=common.PersonRef(person_id=one), purpose=common.PURPOSE_INSIGHT, consent=CONSENT)
                for one in person_ids[start : start + BATCH]
            ]
            answer = await self._call(now_us, "BatchGetProfiles", pb.BatchGetProfilesRequest(queries=queries))
            assert isinstance(answer, pb.BatchGetProfilesResponse)
            found |= {profile.person_id: profile for profile in answer.profiles}
        return found

    async def _call(self, now_us: int, method: str, request: object) -> object:
        token = set_replay_time_us(now_us)
        try:
            return await self._server.call(getattr(self._server.stub, method), request)
        finally:
            reset_replay_time(token)


def _event(purchase: Purchase) -> pb.BehaviourEvent:
    return pb.BehaviourEvent(
        event_id=purchase.key,
        person=common.PersonRef(person_id=purchase.person_id),
        behaviour=common.BEHAVIOUR_ORDER,
        event_time=to_timestamp(purchase.time_us),
        amount=common.Money(currency=CURRENCY, micros=purchase.micros),
        consent=CONSENT,
    )
