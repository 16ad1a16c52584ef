"""Private tags: what may be declared, what may not change, and who is told."""

import asyncio
import random
from typing import Any

import pytest
from made_up_tags import private_tag

from bihuan_profile.domain.governance import Consent, DataClass, Purpose, permit_by_consent, permit_for_batch_work
from bihuan_profile.domain.private_tags import MAX_PRIVATE_TAGS
from bihuan_profile.domain.record import EMPTY, Fact, Record, with_facts
from bihuan_profile.domain.taxonomy import TagType
from bihuan_profile.domain.view import release
from bihuan_profile.profile_store.tags_in_memory import MemoryPrivateTagStore
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.ports import Backoff
from bihuan_profile.use_cases.private_tags import MAX_AGE_S, MAX_HELD, PrivateTags, put_tags
from bihuan_shared.errors import FailedPrecondition, InvalidArgument

NOW_US = 1_500_000_000_000_000
AGREED = Consent(frozenset(Purpose), frozenset(DataClass))
BACKOFF = Backoff(random.Random(1), asyncio.sleep)


class World:
    """A store, a process that knows it, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.store = MemoryPrivateTagStore()
        self.private = self.process()

    def process(self) -> PrivateTags:
        return PrivateTags(self.store, lambda: self.now_s)

    async def put(self, *tags: Any, advertiser_id: str = "acme", version: int = 0) -> int:
        return await put_tags(self.private, BACKOFF, advertiser_id, version, tags)


@pytest.fixture
def world() -> World:
    return World()


def known(name: str = "acme.vip_level", value: float = 3.0) -> Record:
    return with_facts(EMPTY, [(name, Fact(value, NOW_US)), ("age", Fact("25-34", NOW_US))])[0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "vip_level"}, "name"),
        ({"name": "globex.vip_level"}, "name"),
        ({"name": "acme.Vip"}, "name"),
        ({"name": "acme.a.b"}, "name"),
        ({"name": "acme." + "a" * 49}, "name"),
        ({"type": TagType.INTEREST}, "type"),
        ({"data_class": DataClass.SOCIAL}, "data_class"),
        ({"purposes": frozenset()}, "purposes"),
        ({"values": ("gold",)}, "values"),
        ({"type": TagType.TEXT, "values": ("gold", "gold")}, "values"),
        ({"type": TagType.TEXT, "values": ("",)}, "values"),
        ({"derived": True}, "derived"),
        ({"advertiser_id": "globex"}, "advertiser_id"),
        ({"iab_audience_id": -1}, "iab_audience_id"),
        ({"display_names": {"English": "VIP"}}, "display_names"),
        ({"display_names": {"en": ""}}, "display_names.en"),
        (
            {"display_names": dict.fromkeys(("aa", "ab", "ac", "ad", "ae", "af", "ag", "ah", "ai"), "x")},
            "display_names",
        ),
    ],
)
async def test_wrong_tag_refuses_the_whole_call_and_names_its_field(
    world: World, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await world.put(private_tag("first"), private_tag(**changes))
    assert f"tags[1].{field}" in [violation.field for violation in caught.value.violations]
    assert (await world.private.for_advertisers(packaged_taxonomy(), ["acme"])).get("acme.first") is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"type": TagType.FLAG}, "tags[0].type"), ({"data_class": DataClass.OPERATION}, "tags[0].data_class")],
)
async def test_type_and_class_of_a_tag_stay(world: World, changes: dict[str, Any], field: str) -> None:
    await world.put(private_tag())
    with pytest.raises(FailedPrecondition) as caught:
        await world.put(private_tag(**changes), private_tag("second"))
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_repeating_changes_nothing_and_other_tags_stay(world: World) -> None:
    assert await world.put(private_tag(), private_tag("second")) == 2
    assert await world.put(private_tag()) == 0
    assert await world.put(private_tag(description="Anything else")) == 1
    taxonomy = await world.private.for_advertisers(packaged_taxonomy(), ["acme"])
    assert [tag.name for tag in taxonomy.tags[-2:]] == ["acme.vip_level", "acme.second"]


async def test_name_that_stands_twice_is_refused(world: World) -> None:
    with pytest.raises(InvalidArgument, match="stands twice"):
        await world.put(private_tag(), private_tag())


async def test_an_advertiser_has_a_bounded_number_of_tags(world: World) -> None:
    await world.put(*(private_tag(f"t{index}") for index in range(MAX_PRIVATE_TAGS)))
    assert await world.put(private_tag("t0")) == 0
    with pytest.raises(FailedPrecondition, match="at most 256"):
        await world.put(private_tag("one_more"))
    assert await world.put(private_tag("t0", "globex"), advertiser_id="globex") == 1


async def test_older_version_changes_nothing(world: World) -> None:
    await world.put(private_tag(description="new"), version=7)
    assert await world.put(private_tag(description="old"), version=6) == 0
    assert await world.put(private_tag(description="newer"), version=7) == 1
    (held,) = await world.store.read(["acme"])
    assert (held.tags[0].description, held.version) == ("newer", 7)


async def test_writers_at_once_lose_nothing(world: World) -> None:
    await asyncio.gather(*(world.put(private_tag(f"t{index}")) for index in range(32)))
    (held,) = await world.store.read(["acme"])
    assert len(held.tags) == 32


async def test_other_process_sees_a_tag_within_the_bound(world: World) -> None:
    other = world.process()
    assert (await other.for_names(packaged_taxonomy(), ["acme.vip_level"])).get("acme.vip_level") is None
    await world.put(private_tag())
    assert (await world.private.for_names(packaged_taxonomy(), ["acme.vip_level"])).get("acme.vip_level") is not None
    assert (await other.as_stored(packaged_taxonomy(), "acme")).get("acme.vip_level") is not None
    assert (await world.process().for_names(packaged_taxonomy(), ["acme.second"])).get("acme.second") is None


async def test_other_process_sees_a_later_tag_within_the_bound(world: World) -> None:
    other = world.process()
    assert (await other.for_names(packaged_taxonomy(), ["acme.vip_level"])).get("acme.vip_level") is None
    await world.put(private_tag())
    world.now_s += MAX_AGE_S
    assert (await other.for_names(packaged_taxonomy(), ["acme.vip_level"])).get("acme.vip_level") is not None


async def test_what_is_remembered_is_bounded(world: World) -> None:
    for index in range(MAX_HELD + 3):
        await world.private.for_advertisers(packaged_taxonomy(), [f"a{index}"])
    assert len(world.private._held) == MAX_HELD


async def test_private_attribute_is_told_to_its_advertiser_and_withheld_from_others(world: World) -> None:
    await world.put(private_tag())
    await world.put(private_tag("vip_level", "globex"), advertiser_id="globex")
    taxonomy = await world.private.for_advertisers(packaged_taxonomy(), ["acme", "globex"])
    for advertiser_ids, names in (
        (frozenset({"acme"}), {"acme.vip_level", "age"}),
        (frozenset({"globex"}), {"age"}),
        (frozenset({"acme", "globex"}), {"acme.vip_level", "age"}),
        (frozenset(), {"age"}),
    ):
        view = release(known(), permit_by_consent(Purpose.TARGETING, AGREED, advertiser_ids), NOW_US, taxonomy)
        assert {one.name for one in view.attributes} == names
        assert view.withheld_count == 2 - len(names)
        batch = release(known(), permit_for_batch_work(Purpose.TARGETING, advertiser_ids), NOW_US, taxonomy)
        assert {one.name for one in batch.attributes} == names


async def test_consent_holds_for_private_tags_too(world: World) -> None:
    await world.put(private_tag())
    taxonomy = await world.private.for_advertisers(packaged_taxonomy(), ["acme"])
    acme = frozenset({"acme"})
    registration = Consent(frozenset(Purpose), frozenset({DataClass.REGISTRATION}))
    for permit in (
        permit_by_consent(Purpose.TARGETING, registration, acme),
        permit_by_consent(Purpose.INSIGHT, AGREED, acme),
    ):
        assert {one.name for one in release(known(), permit, NOW_US, taxonomy).attributes} == {"age"}


async def test_private_attribute_is_held_to_its_type(world: World) -> None:
    await world.put(private_tag())
    taxonomy = await world.private.for_names(packaged_taxonomy(), ["acme.vip_level", "acme.unknown", "age"])
    assert taxonomy.fault("acme.vip_level", 2.0) is None
    assert taxonomy.fault("acme.vip_level", "two") == ("text", "must be a number, which is the type of this attribute")
    assert taxonomy.fault("acme.unknown", 2.0) == ("name", "is not an attribute of the taxonomy")


async def test_no_names_and_no_advertisers_ask_the_store_nothing(world: World) -> None:
    assert await world.private.for_advertisers(packaged_taxonomy(), []) is packaged_taxonomy()
    assert await world.private.for_names(packaged_taxonomy(), ["age"]) is packaged_taxonomy()
