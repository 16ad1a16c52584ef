"""Ids that mean something only to whoever made them: kept as given, in bounds, and without placeholders."""

import re
import unicodedata

from bihuan_identity.domain.namespaces.junk import ValueRefusedError, refuse_macro, refuse_placeholder, refuse_repeated

_MAX_CHARACTERS = 256
_MAX_EID_CHARACTERS = 512
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{_MAX_CHARACTERS}}}")
_EID = re.compile(rf"[\x21-\x7e]{{1,{_MAX_EID_CHARACTERS}}}")
_WECHAT_OPENID = re.compile(r"w[wx][0-9a-f]{16}:[A-Za-z0-9_-]{20,64}")
_WECHAT_UNIONID = re.compile(r"[A-Za-z0-9_-]{20,64}")


def normalise_opaque(value: str) -> str:
    """Visible ASCII without blanks, case kept; for ids that a machine made."""
    value = value.strip(" ")
    if _TOKEN.fullmatch(value) is None:
        raise ValueRefusedError(f"must be 1 to {_MAX_CHARACTERS} visible ASCII characters without blanks")
    return refuse_repeated(refuse_macro(refuse_placeholder(value)))


def normalise_eid(value: str) -> str:
    """The `id` of an entry of `eids`: visible ASCII without blanks, case kept."""
    value = value.strip(" ")
    if _EID.fullmatch(value) is None:
        raise ValueRefusedError(f"must be 1 to {_MAX_EID_CHARACTERS} visible ASCII characters without blanks")
    return refuse_repeated(refuse_macro(refuse_placeholder(value)))


def normalise_login(value: str) -> str:
    """A login name in any script: NFC, outer blanks dropped, case kept because sites differ; no control characters."""
    value = unicodedata.normalize("NFC", value).strip()
    if not value or len(value) > _MAX_CHARACTERS or not value.isprintable():
        raise ValueRefusedError(f"must be 1 to {_MAX_CHARACTERS} printable characters")
    return refuse_placeholder(value)


def normalise_wechat_openid(value: str) -> str:
    """The app's id and the openid that the app knows the person by, as `appid:openid`: an openid alone is ambiguous."""
    if _WECHAT_OPENID.fullmatch(value) is None:
        raise ValueRefusedError("must be `appid:openid`")
    refuse_repeated(value.partition(":")[2])
    return value


def normalise_wechat_unionid(value: str) -> str:
    """The unionid, which is the same in all apps of one open platform account."""
    if _WECHAT_UNIONID.fullmatch(value) is None:
        raise ValueRefusedError("must be 20 to 64 letters, digits, '-' or '_'")
    return refuse_repeated(value)
