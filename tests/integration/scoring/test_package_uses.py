"""Exporting and describing packages over identity and profile as they are: only tokens leave, and nothing of a few."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from package_stack import PackageStack

from bihuan.common.v1 import common_pb2 as common
from bihuan.identity.v1 import identity_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan.scoring.v1 import audience_pb2 as pb
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied

TARGETING = common.PURPOSE_TARGETING


@pytest.fixture
async def stack(tmp_path: Path, redis_url: str) -> AsyncIterator[PackageStack]:
    made = PackageStack(tmp_path, redis_url)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def export(
    stack: PackageStack,
    audience_id: str = "tea",
    partner: str = "dsp",
    purpose: "common.Purpose.ValueType" = TARGETING,
) -> tuple[list[str], pb.ExportSummary]:
    request = pb.ExportAudienceRequest(audience_id=audience_id, partner=partner, purpose=purpose)
    tokens: list[str] = []
    summary = pb.ExportSummary()
    async for part in stack.audiences.ExportAudience(request):
        assert len(part.person_tokens) <= 1_000
        tokens += part.person_tokens
        summary = part.summary
    return tokens, summary


async def resolved(stack: PackageStack, partner: str, tokens: list[str]) -> list[int]:
    found: list[int] = []
    for start in range(0, len(tokens), 1_000):
        request = identity_pb2.ResolvePseudonymsRequest(partner=partner, person_tokens=tokens[start : start + 1_000])
        found += [one.person_id for one in (await stack.identity.ResolvePseudonyms(request)).persons]
    return found


async def test_only_those_leave_of_whom_something_may_be_used_as_tokens_of_the_partner_in_no_order(
    stack: PackageStack,
) -> None:
    persons = [*(await stack.persons(900)), *(await stack.persons(300, first=900))]
    agreed, unknown = persons[:1_100], persons[1_100:]
    for start in (0, 550):
        await stack.search(agreed[start : start + 550], "category:tea", TARGETING)
    strangers = [2**40 + n for n in range(3)]
    await stack.search(strangers, "category:tea", TARGETING)
    await stack.keep_list("tea", [*persons, *strangers])
    tokens, summary = await export(stack)
    assert len(unknown) == 100
    assert (summary.sent_count, summary.left_out_count) == (1_100, 110)
    of_partner = await resolved(stack, "dsp", tokens)
    assert sorted(of_partner) == sorted(agreed)
    assert of_partner != sorted(of_partner)
    other_tokens, _ = await export(stack, partner="media")
    of_other = await resolved(stack, "media", other_tokens)
    assert (sorted(of_other), set(tokens) & set(other_tokens)) == (sorted(agreed), set())
    # Two partners that lay their lists side by side find nobody in the same place, but for chance.
    assert sum(one == other for one, other in zip(of_partner, of_other, strict=True)) < 20


async def test_small_packages_are_refused_before_anything_is_sent(stack: PackageStack) -> None:
    persons = await stack.persons(80)
    await stack.search(persons[:49], "category:tea", TARGETING)
    await stack.keep_list("few", persons[:49])
    await stack.keep_list("few-agreed", persons)
    for audience_id in ("few", "few-agreed"):
        with pytest.raises(FailedPrecondition) as caught:
            await export(stack, audience_id)
        assert caught.value.reason == "BELOW_FLOOR"
    await stack.search(persons[49:50], "category:coffee", TARGETING)
    tokens, summary = await export(stack, "few-agreed")
    assert (len(tokens), summary.sent_count, summary.left_out_count) == (50, 50, 30)


async def test_a_partner_that_may_have_no_tokens_gets_none(stack: PackageStack) -> None:
    persons = await stack.persons(60)
    await stack.search(persons, "category:tea", TARGETING)
    await stack.keep_list("tea", persons)
    for partner in ("counter", "nobody"):
        with pytest.raises(PermissionDenied) as caught:
            await export(stack, partner=partner)
        assert caught.value.reason == "PARTNER_NOT_ALLOWED"
    with pytest.raises(NotFound):
        await export(stack, "missing")
    with pytest.raises(InvalidArgument):
        await export(stack, purpose=common.PURPOSE_UNSPECIFIED)


async def test_a_purpose_that_the_data_may_not_be_used_for_leaves_nobody(stack: PackageStack) -> None:
    """The platform's `gender` is not for measurement."""
    persons = await stack.persons(60)
    updates = [
        profile_pb2.AttributeUpdate(
            person=common.PersonRef(person_id=person_id), attributes=[profile_pb2.Attribute(name="gender", text="f")]
        )
        for person_id in persons
    ]
    await stack.profile.SetAttributes(profile_pb2.SetAttributesRequest(updates=updates))
    await stack.keep_list("tea", persons)
    with pytest.raises(FailedPrecondition) as caught:
        await export(stack, purpose=common.PURPOSE_MEASUREMENT)
    assert caught.value.reason == "BELOW_FLOOR"
    assert len((await export(stack))[0]) == 60


async def test_a_package_is_told_by_what_sets_it_apart(stack: PackageStack) -> None:
    persons = await stack.persons(600)
    await stack.search(persons, "category:shoes", TARGETING)
    await stack.search(persons[:200], "category:tea", TARGETING)
    await stack.search(persons[:30], "category:rare", TARGETING)
    await stack.keep_list("tea", persons[:200])
    await stack.keep_list("few", persons[:30])
    request = pb.DescribeAudienceRequest(audience_id="tea")
    found = await stack.audiences.DescribeAudience(request)
    assert found == await stack.audiences.DescribeAudience(request)
    tags = {tag.condition: tag for tag in found.tags}
    assert found.tags[0].condition == 'interest("category:tea") > 0'
    assert 2.5 < found.tags[0].index < 3.5
    assert 0.8 < tags['interest("category:shoes") > 0'].index < 1.2
    assert not any("rare" in condition for condition in tags)
    assert found.hidden_tag_count >= 1
    assert abs(found.known_count - 600) <= 30
    with pytest.raises(FailedPrecondition) as caught:
        await stack.audiences.DescribeAudience(pb.DescribeAudienceRequest(audience_id="few"))
    assert caught.value.reason == "BELOW_FLOOR"
