"""Where a lake is: a folder or a bucket, and nothing else; never a credential."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bihuan_shared.lake import open_lake
from bihuan_shared.lake_url import BucketPlace, FolderPlace, parse_lake_url
from bihuan_shared.settings import ServerSettings


def test_paths_and_file_urls_are_folders() -> None:
    assert parse_lake_url("/a b/lake") == FolderPlace(Path("/a b/lake"))
    assert parse_lake_url("file:///a%20b/lake") == FolderPlace(Path("/a b/lake"))


def test_s3_urls_are_buckets_with_options() -> None:
    assert parse_lake_url("s3://lake") == BucketPlace("lake")
    url = "s3://lake/some/prefix/?region=eu-central-1&endpoint_override=minio:9000&scheme=http"
    assert parse_lake_url(url) == BucketPlace("lake", "some/prefix", "eu-central-1", "minio:9000", "http")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://host/lake", "https:// is not supported"),
        ("gs://bucket/lake", "gs:// is not supported"),
        ("file://elsewhere/lake", "no other machine"),
        ("s3:///lake", "names a bucket"),
        ("s3://b_/lake", "names a bucket"),
        ("s3://bucket/../other", "prefix"),
        ("s3://bucket/a//b", "prefix"),
        ("s3://bucket/a%2F..%2F..", "prefix"),
        ("s3://bucket?scheme=ftp", "http or https"),
        ("s3://bucket?part_size=1", "options"),
        ("s3://id:hidden@bucket/lake", "credentials"),
        ("s3://bucket/lake?secret_key=hidden", "credentials"),
        ("s3://bucket/lake?session_token=hidden", "credentials"),
    ],
)
def test_everything_else_is_refused_without_repeating_it(url: str, message: str) -> None:
    for refuse in (parse_lake_url, open_lake):
        with pytest.raises(ValueError, match=message) as refused:
            refuse(url)
        assert "hidden" not in str(refused.value)


def test_settings_take_a_bucket_and_refuse_what_is_no_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIHUAN_LAKE_URL", "s3://lake/prefix")
    assert ServerSettings().lake_url == "s3://lake/prefix"
    monkeypatch.setenv("BIHUAN_LAKE_URL", "s3://id:hidden@lake/prefix")
    with pytest.raises(ValidationError, match="credentials") as refused:
        ServerSettings()
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("endpoint", ["ftp://host", "https://", "https://id:hidden@host"])
def test_endpoint_of_the_environment_is_checked(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ValueError, match="endpoint") as refused:
        open_lake("s3://lake")
    assert "hidden" not in str(refused.value)
