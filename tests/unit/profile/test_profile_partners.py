"""What a partner's read tells: never a private tag, whomever it says that it reads for."""

import asyncio
import random
from typing import cast

import pytest
from made_up_tags import no_private_tags, private_tag

from bihuan.common.v1 import common_pb2 as common
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_profile.domain.record import EMPTY, Fact, with_facts
from bihuan_profile.domain.retention import Retention
from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.profile_store.tags_in_memory import MemoryPrivateTagStore
from bihuan_profile.rpc import ProfileServicer
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.ports import Backoff, Change, History, Jobs, Journal
from bihuan_profile.use_cases.private_tags import HeldTags, PrivateTags
from bihuan_profile.use_cases.relating import EdgeJournal
from bihuan_shared.callers import Caller, Role, set_caller
from bihuan_shared.clock import FixedClock

NOW_US = 1_500_000_000_000_000


@pytest.mark.parametrize(("role", "count"), [(Role.INTERNAL, 1), (Role.PARTNER, 0)])
async def test_private_tags_are_withheld_from_partners(role: Role, count: int) -> None:
    store, tags = MemoryProfileStore(), MemoryPrivateTagStore()
    record, _ = with_facts(EMPTY, [("acme.vip_level", Fact(3.0, NOW_US))])
    await store.compare_and_set([Change(7, 0, record)])
    await tags.compare_and_set("acme", HeldTags((private_tag(),)))
    servicer = ProfileServicer(
        store,
        packaged_taxonomy(),
        FixedClock(NOW_US),
        Backoff(random.Random(1), asyncio.sleep),
        cast("Journal", None),
        cast("EdgeJournal", None),
        PrivateTags(tags, lambda: 0.0),
        cast("Jobs", None),
        cast("History", None),
        no_private_tags(Retention()),
    )
    set_caller(Caller(role, "caller"))
    request = pb.GetProfileRequest(
        person=common.PersonRef(person_id=7),
        purpose=common.PURPOSE_TARGETING,
        consent=common.Consent(purposes=[common.PURPOSE_TARGETING], data_classes=[common.DATA_CLASS_TRANSACTION]),
        advertiser_ids=["acme"],
    )
    profile = (await servicer.GetProfile(request, None)).profile  # type: ignore[arg-type]  # no call asks its context
    assert (len(profile.attributes), profile.withheld_count) == (count, 1 - count)
