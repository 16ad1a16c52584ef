"""A lake in a bucket of a store that speaks S3."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow.fs import AwsStandardS3RetryStrategy, FileSystem, FileType, S3FileSystem, SubTreeFileSystem

from bihuan_shared.lake.stores import listed
from bihuan_shared.lake_url import BucketPlace

CONNECT_TIMEOUT_S: Final = 3.0
REQUEST_TIMEOUT_S: Final = 15.0
MAX_ATTEMPTS: Final = 3
_SECRETS: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")


class ObjectLakeStore:
    """
    Objects under a prefix.

    What the URL does not say comes from the standard environment: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION,
    AWS_DEFAULT_REGION. Credentials only come from there (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN),
    or from what the machine has for its account. Calls are tried `MAX_ATTEMPTS` times. The bucket has to exist.
    """

    __slots__ = ("_bucket", "_files", "_store")

    def __init__(self, place: BucketPlace) -> None:
        endpoint, scheme = _endpoint(place)
        region = place.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        self._bucket = place.bucket
        self._store = S3FileSystem(
            region=region or None,
            scheme=scheme,
            endpoint_override=endpoint or None,
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=REQUEST_TIMEOUT_S,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=MAX_ATTEMPTS),
            # A file of one part is then one request, and appears by it.
            allow_delayed_open=True,
        )
        self._files = SubTreeFileSystem(f"{place.bucket}/{place.prefix}".rstrip("/"), self._store)

    def put(self, path: str, content: pa.Buffer) -> None:
        """Put an object. One of several parts only appears when all have been taken."""
        # The stream remembers the failure of a part and refuses to complete the object when it is closed.
        with _without_secrets(), self._files.open_output_stream(path) as stream:
            stream.write(content)

    def remove(self, path: str) -> None:
        """Remove an object. In a bucket that keeps versions, the older ones go by the bucket's own rules."""
        with _without_secrets():
            try:
                self._files.delete_file(path)
            except FileNotFoundError:
                return

    def list(self, dataset: str) -> Sequence[str]:
        """Paths of the files of a dataset, sorted."""
        with _without_secrets():
            found = listed(self._files, dataset)
            # The listing of a bucket that does not exist is as empty as that of a new dataset.
            if not found and self._store.get_file_info(self._bucket).type is FileType.NotFound:
                raise FileNotFoundError(f"there is no bucket {self._bucket}")
            return found

    def files(self) -> FileSystem:
        """What lies under the prefix."""
        return self._files


def _endpoint(place: BucketPlace) -> tuple[str, str]:
    """Host and port, empty for AWS itself, and the scheme to call it by."""
    named = place.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if "://" not in named:
        return named, place.scheme or "https"
    parts = urlsplit(named)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("the endpoint of an s3:// lake is host:port, or an http or https URL without credentials")
    return parts.netloc, place.scheme or parts.scheme


@contextmanager
def _without_secrets() -> Iterator[None]:
    """A store's answer may repeat what it was sent, and errors are logged."""
    try:
        yield
    except OSError as error:
        text = str(error)
        for secret in filter(None, map(os.environ.get, _SECRETS)):
            text = text.replace(secret, "***")
        raise OSError(f"the lake's bucket: {text}") from None
