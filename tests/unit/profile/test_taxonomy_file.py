"""The taxonomy's file: what it must say, and how a fault in it is told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bihuan_profile.domain.aarrr import AARRR_VALUES
from bihuan_profile.domain.governance import DataClass, Permit, Purpose
from bihuan_profile.domain.influence import TIERS
from bihuan_profile.domain.ladder import LADDER_VALUES
from bihuan_profile.domain.record import EMPTY, Fact, with_facts
from bihuan_profile.domain.taxonomy import BehaviourKind, TagType
from bihuan_profile.domain.view import release
from bihuan_profile.taxonomy_file import (
    LANGUAGES,
    PACKAGED,
    TaxonomyInvalidError,
    load_taxonomy,
    packaged_taxonomy,
    parse_taxonomy,
)
from bihuan_shared.clock import DAY_US
from bihuan_shared.targeting import TagType as WrittenType
from bihuan_shared.targeting import check, parse

NOW_US = 1_500_000_000_000_000


def tag(**changes: Any) -> dict[str, Any]:
    whole = {
        "name": "shoe_colour",
        "type": "text",
        "data_class": "transaction",
        "purposes": ["targeting"],
        "display_names": {"en": "Shoe colour", "zh": "鞋色"},
        "description": "Colour of shoes bought most",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def fault_of(**changes: Any) -> str:
    file = {"version": "1", "tags": [tag(name="first"), tag()], **changes}
    with pytest.raises(TaxonomyInvalidError) as caught:
        parse_taxonomy(yaml.safe_dump({name: value for name, value in file.items() if value is not None}).encode())
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "Shoe"}, "tags[1].name"),
        ({"name": "acme.shoe"}, "tags[1].name"),
        ({"name": "not"}, "tags[1].name: is a word of the targeting language"),
        ({"name": "first"}, "tags[1].name: is that of tags[0] too"),
        ({"name": None}, "tags[1].name"),
        ({"type": "date"}, "tags[1].type"),
        ({"data_class": "secret"}, "tags[1].data_class"),
        ({"purposes": []}, "tags[1].purposes"),
        ({"purposes": ["targeting", "selling"]}, "tags[1].purposes[1]"),
        ({"purposes": ["targeting", "targeting"]}, "tags[1].purposes: names one twice"),
        ({"display_names": {"en": "Shoe"}}, "tags[1].display_names.zh: is missing"),
        ({"display_names": {"en": "", "zh": "鞋"}}, "tags[1].display_names.en"),
        ({"description": ""}, "tags[1].description"),
        ({"values": ["red", ""]}, "tags[1].values[1]"),
        ({"values": ["red", "red"]}, "tags[1].values: names one twice"),
        ({"values": ["1"], "type": "number"}, "tags[1].values: a number has none"),
        ({"retention_days": -1}, "tags[1].retention_days"),
        ({"retention_days": 1.5}, "tags[1].retention_days"),
        ({"half_life_days": 4000}, "tags[1].half_life_days"),
        ({"iab_audience_id": "2"}, "tags[1].iab_audience_id"),
        ({"derived": "yes"}, "tags[1].derived"),
        ({"colour": 1}, "tags[1].colour"),
    ],
)
def test_fault_of_a_tag_is_told_by_its_path(changes: dict[str, Any], path: str) -> None:
    assert fault_of(tags=[tag(name="first"), tag(**changes)]).startswith(path)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"version": None}, "version"),
        ({"version": 1}, "version"),
        ({"tags": []}, "tags"),
        ({"behaviour_retention_days": {"visits": {"operation": 1}}}, "behaviour_retention_days.visits"),
        ({"behaviour_retention_days": {"orders": {"secret": 1}}}, "behaviour_retention_days.orders.secret"),
        ({"usual_replacement_days": {"tea": 0}}, "usual_replacement_days.tea"),
        ({"more": 1}, "more"),
    ],
)
def test_fault_of_the_file_is_told_by_its_path(changes: dict[str, Any], path: str) -> None:
    assert fault_of(**changes).startswith(path)


def test_every_fault_is_told_at_once() -> None:
    told = fault_of(version=1, tags=[tag(type="date"), tag(purposes=["selling"])])
    assert [line.split(":")[0] for line in told.splitlines()] == ["version", "tags[0].type", "tags[1].purposes[0]"]


@pytest.mark.parametrize("text", [b"- 1", b"", b"tags: [", b"version: !!python/name:os.system\n", b"\xff\xfe\x00"])
def test_what_is_no_taxonomy_is_refused(text: bytes) -> None:
    with pytest.raises(TaxonomyInvalidError):
        parse_taxonomy(text)


def test_name_that_stands_twice_is_refused_with_its_line() -> None:
    with pytest.raises(TaxonomyInvalidError, match="'version' stands here twice"):
        parse_taxonomy(b'version: "1"\nversion: "2"\ntags: []\n')


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyInvalidError, match=r"missing\.yaml: cannot be read"):
        load_taxonomy(tmp_path / "missing.yaml")


def test_version_changes_with_the_content() -> None:
    text = PACKAGED.read_text()
    other = parse_taxonomy(text.replace("Gender as stated", "Gender as told").encode())
    assert other.version.split("+")[0] == packaged_taxonomy().version.split("+")[0]
    assert other.version != packaged_taxonomy().version
    assert parse_taxonomy(("# A remark.\n" + text).encode()).version == packaged_taxonomy().version


def test_every_packaged_tag_is_whole_and_can_be_named() -> None:
    written = {TagType.TEXT: '"x"', TagType.NUMBER: "1", TagType.FLAG: "true"}
    types = {TagType.TEXT: WrittenType.TEXT, TagType.NUMBER: WrittenType.NUMBER, TagType.FLAG: WrittenType.FLAG}
    for one in packaged_taxonomy().tags:
        assert one.purposes, one.name
        assert all(one.display_names[language] for language in LANGUAGES), one.name
        if one.type is not TagType.INTEREST:
            check(parse(f"{one.name} == {written[one.type]}"), {one.name: types[one.type]})


def test_packaged_taxonomy_covers_all_four_kinds_of_data() -> None:
    tags = packaged_taxonomy().tags
    counts = {data_class: sum(one.data_class is data_class for one in tags) for data_class in DataClass}
    assert len(tags) >= 40
    assert all(counts.values())
    assert {one.name for one in tags if one.derived} == {
        "ladder",
        "aarrr_stage",
        "influence_tier",
        "community",
        "rfm_recency",
        "rfm_frequency",
        "rfm_monetary",
        "ltv_90d",
    }


def test_what_relations_show_serves_nothing_but_targeting_and_insight() -> None:
    social = [one for one in packaged_taxonomy().tags if one.data_class is DataClass.SOCIAL]
    assert {one.purposes for one in social} == {frozenset({Purpose.TARGETING, Purpose.INSIGHT})}


def test_derived_tag_cannot_be_set() -> None:
    assert packaged_taxonomy().fault("influence_tier", "high") == (
        "name",
        "is made by a rule of the platform and cannot be set",
    )


def test_behaviour_is_kept_by_kind_and_class() -> None:
    taxonomy = packaged_taxonomy()
    assert taxonomy.behaviour_retention_us(BehaviourKind.INTERESTS, DataClass.OPERATION) == 400 * DAY_US
    assert taxonomy.behaviour_retention_us(BehaviourKind.ORDERS, DataClass.OPERATION) == 0
    assert taxonomy.usual_replacement_us("tea") == 45 * DAY_US
    assert taxonomy.usual_replacement_us("anvils") is None


@pytest.mark.parametrize(
    ("name", "age_days", "confidence"), [("app_user", 90, 0.5), ("app_user", -1, 1.0), ("age", 9, 1.0)]
)
def test_confidence_halves_with_every_half_life_of_the_tag(name: str, age_days: int, confidence: float) -> None:
    value = True if name == "app_user" else "25-34"
    record, _ = with_facts(EMPTY, [(name, Fact(value, NOW_US - age_days * DAY_US))])
    permit = Permit(Purpose.TARGETING, frozenset(DataClass))
    (view,) = release(record, permit, NOW_US, packaged_taxonomy()).attributes
    assert view.confidence == pytest.approx(confidence)
    assert 0 < packaged_taxonomy().tags[0].confidence(NOW_US) <= 1


def test_values_of_derived_tags_are_those_that_their_rules_give() -> None:
    values = {one.name: one.values for one in packaged_taxonomy().tags}
    assert values["ladder"] == LADDER_VALUES
    assert values["aarrr_stage"] == AARRR_VALUES
    assert values["influence_tier"] == TIERS


def test_what_a_job_keeps_is_told_as_derived_and_what_was_set_before_a_rule_is_not() -> None:
    facts = [("community", Fact("c1", NOW_US)), ("ladder", Fact("creator", NOW_US)), ("rfm_recency", Fact(5.0, NOW_US))]
    record, _ = with_facts(EMPTY, facts)
    view = release(record, Permit(Purpose.TARGETING, frozenset(DataClass)), NOW_US, packaged_taxonomy())
    assert [(one.name, one.derived) for one in view.attributes] == [("community", True)]
    assert view.withheld_count == 2
