"""Look-alike features: one code for training, batch work and serving, and what its columns hold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from look_alike_people import AS_OF_US, order_for, persons

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.lookalike.features import feature_rows, person_features
from bihuan_scoring.lookalike.gathering import drawing, gather
from bihuan_scoring.lookalike.layout import Bounds, Layout, fit_layout
from bihuan_scoring.lookalike.partitions import batches_of, partitions_of
from bihuan_scoring.lookalike.sampling import plan_sample
from bihuan_scoring.lookalike.snapshot import snapshot_rows

PEOPLE = persons(1_200)


def test_training_batch_and_serving_agree_to_the_byte(tmp_path: Path) -> None:
    seeds = np.arange(1, 200, dtype=np.int64)
    order = order_for(tmp_path, PEOPLE, seeds)
    partitions = partitions_of(order.paths)
    plan = plan_sample(seeds, len(PEOPLE), 10_000, 10_000, 7)
    trained = gather([drawing(plan)(each) for each in partitions], order).rows
    batch = {
        int(person_id): row.tobytes()
        for partition in partitions
        for rows in batches_of(partition)
        for person_id, row in zip(rows.column("person_id").to_numpy(), feature_rows(rows, trained.layout), strict=True)
    }
    served = {person.person_id: person_features([person], trained.layout)[0].tobytes() for person in PEOPLE}
    learnt = {int(k): row.tobytes() for k, row in zip(trained.person_ids, trained.matrix, strict=True)}
    assert learnt == batch == served
    assert len(served) == len(PEOPLE)


def test_rare_tags_share_a_bounded_number_of_columns() -> None:
    people = [replace(p, interests=[*p.interests, (f"film:{p.person_id}", 1.0, 0.0)]) for p in PEOPLE]
    layout = fit_layout([snapshot_rows(people)], AS_OF_US, Bounds(tags=8, buckets=4))
    assert set(layout.tags) == {"category:tea", "category:coffee", "segment:loyal"}
    buckets = person_features(people, layout)[:, [layout.names.index(f"tags_bucket_{k}") for k in range(4)]]
    assert np.allclose(np.expm1(buckets).sum(axis=1), 1.0, atol=1e-5)


def test_hidden_tag_counts_nowhere() -> None:
    shown = fit_layout([snapshot_rows(PEOPLE)], AS_OF_US, Bounds())
    hidden = replace(shown, hidden_tags=frozenset({"category:tea"}))
    bare = [replace(p, interests=[each for each in p.interests if each[0] != "category:tea"]) for p in PEOPLE]
    assert person_features(PEOPLE, hidden).tobytes() == person_features(bare, hidden).tobytes()
    assert person_features(PEOPLE, shown).tobytes() != person_features(bare, shown).tobytes()


def test_unknown_is_missing_and_never_is_zero() -> None:
    layout = Layout(AS_OF_US, numbers=("birth_year",), texts=(("city", ("north",)),))
    rows = person_features(
        [PersonFacts(1, withheld=True), PersonFacts(2), PersonFacts(3, {"city": "west", "birth_year": 1980.0})], layout
    )
    view = layout.names.index("activity_view_long")
    assert np.isnan(rows[0, view])
    assert rows[1, view] == 0.0
    assert np.isnan(rows[1, -2:]).all()
    assert rows[2, -2:].tolist() == [1980.0, 1.0]


def test_a_value_of_few_persons_has_no_name_of_its_own() -> None:
    people = [replace(PEOPLE[0], person_id=10_000 + n, attributes={"city": "rare"}) for n in range(5)]
    layout = fit_layout([snapshot_rows([*PEOPLE, *people])], AS_OF_US, Bounds(least_persons=20))
    assert dict(layout.texts)["city"] == ("east", "north", "south")


def test_snapshot_file_appears_whole(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, np.arange(1, 200))
    assert sum(pq.ParquetFile(path).metadata.num_rows for path in order.paths) == len(PEOPLE)
    assert not list(tmp_path.glob(".*"))
