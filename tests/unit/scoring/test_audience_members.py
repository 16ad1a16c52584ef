"""Taking persons into lists and out of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bihuan_scoring.audience_store import METADATA, SqlAudienceStore
from bihuan_scoring.bitmap_store import BitmapFiles
from bihuan_scoring.domain.audiences import NewAudience
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound
from bihuan_shared.person_change import PersonPart, PersonsChange
from bihuan_shared.sql import Database
from tests.unit.scoring.test_audiences import FakeProfiles

NEW = NewAudience("x", "acme", "Nurtured", 5)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path}/scoring.db", METADATA, schema="scoring")
    yield database
    await database.close()


@pytest.fixture
async def audiences(database: Database, tmp_path: Path) -> Audiences:
    made = Audiences(SqlAudienceStore(database), BitmapFiles(tmp_path / "audiences"), FakeProfiles())
    await made.create_from_members(NEW, [])
    return made


async def test_persons_come_in_and_go_out_durably(audiences: Audiences, database: Database, tmp_path: Path) -> None:
    changed = await audiences.update_members("x", "acme", [1, 2, 2], [])
    assert (changed.size, audiences.memberships(2)) == (2, ["x"])
    assert (await audiences.update_members("x", "acme", [3], [1, 9])).size == 2
    again = Audiences(SqlAudienceStore(database), BitmapFiles(tmp_path / "audiences"), FakeProfiles())
    await again.load()
    assert [again.memberships(one) for one in (1, 2, 3)] == [[], ["x"], ["x"]]


async def test_whoever_is_named_twice_comes_in_and_a_repeat_makes_no_revision(audiences: Audiences) -> None:
    first = await audiences.update_members("x", "acme", [1], [1])
    assert (first.size, await audiences.update_members("x", "acme", [1], [2])) == (1, first)


async def test_a_list_that_has_grown_is_still_what_it_was_created_as(audiences: Audiences) -> None:
    grown = await audiences.update_members("x", "acme", [1], [])
    assert await audiences.create_from_members(NEW, []) == grown


async def test_erased_persons_stay_out_and_survivors_come_in(audiences: Audiences) -> None:
    await audiences.follow(PersonsChange(1, 0, (7,), ()))
    await audiences.follow(PersonsChange(2, 0, (2, 9), (PersonPart(2),)))
    await audiences.update_members("x", "acme", [7, 9], [])
    assert [audiences.memberships(one) for one in (2, 7, 9)] == [["x"], [], []]


async def test_another_advertisers_list_does_not_exist(audiences: Audiences) -> None:
    for name, advertiser in (("x", "rival"), ("y", "acme")):
        with pytest.raises(NotFound):
            await audiences.update_members(name, advertiser, [1], [])
    assert audiences.memberships(1) == []


async def test_what_is_made_from_an_expression_takes_nobody(audiences: Audiences) -> None:
    await audiences.create_from_expression(NewAudience("e", "acme", "E", 5), 'gender == "f"')
    with pytest.raises(FailedPrecondition):
        await audiences.update_members("e", "acme", [1], [])


@pytest.mark.parametrize(
    ("add", "remove", "field"), [([1, 0], [], "add_persons[1]"), ([], [2**63], "remove_persons[0]")]
)
async def test_whoever_is_no_person_is_named_by_field(
    audiences: Audiences, add: list[int], remove: list[int], field: str
) -> None:
    with pytest.raises(InvalidArgument) as raised:
        await audiences.update_members("x", "acme", add, remove)
    assert raised.value.violations[0].field == f"{field}.person_id"
