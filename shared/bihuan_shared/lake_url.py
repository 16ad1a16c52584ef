"""Where a lake is, as `BIHUAN_LAKE_URL` says it. Knows no engine, so that settings can be checked by any service."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{1,62}", re.ASCII)
_OPTIONS: Final = frozenset({"region", "endpoint_override", "scheme"})
_SCHEMES: Final = frozenset({"", "http", "https"})


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A folder of this machine."""

    root: Path


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """
    A bucket, or what lies under a prefix of it, of a store that speaks S3.

    `endpoint` is `host:port` or a URL. Whatever is empty is left to the environment.
    """

    bucket: str
    prefix: str = ""
    region: str = ""
    endpoint: str = ""
    scheme: str = ""


LakePlace: TypeAlias = FolderPlace | BucketPlace


def parse_lake_url(url: str) -> LakePlace:
    """
    Read a path, a `file://` URL, or `s3://bucket/prefix?region=…&endpoint_override=host:port&scheme=http`.

    ValueError for anything else, and for credentials in the URL, which is logged and shown; the message never repeats
    the URL.
    """
    if "://" not in url:
        return FolderPlace(Path(url))
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return _bucket(parts)
    if parts.scheme != "file":
        raise ValueError(f"a lake is a local folder, a file:// URL or an s3:// URL; {parts.scheme}:// is not supported")
    if parts.netloc not in {"", "localhost"}:
        raise ValueError("the file:// URL of a lake names no other machine")
    return FolderPlace(Path(unquote(parts.path)))


def _bucket(parts: SplitResult) -> BucketPlace:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "@" in parts.netloc or any("key" in name or "token" in name for name in options):
        raise ValueError("credentials of a lake come from the environment (AWS_ACCESS_KEY_ID, ...), never from its URL")
    if not options.keys() <= _OPTIONS or parts.fragment:
        raise ValueError(f"the options of an s3:// lake are {', '.join(sorted(_OPTIONS))}")
    if _BUCKET.fullmatch(parts.netloc) is None:
        raise ValueError("an s3:// lake names a bucket")
    prefix = unquote(parts.path).strip("/")
    if prefix and any(step in {"", ".", ".."} for step in prefix.split("/")):
        raise ValueError("the prefix of an s3:// lake has no empty, '.' or '..' step")
    scheme = options.get("scheme", "")
    if scheme not in _SCHEMES:
        raise ValueError("the scheme of an s3:// lake is http or https")
    return BucketPlace(parts.netloc, prefix, options.get("region", ""), options.get("endpoint_override", ""), scheme)
