"""
Consent in an OpenRTB bid request.

Fields of OpenRTB 2.6: `regs.gdpr`, `regs.us_privacy`, `regs.gpp`, `regs.gpp_sid`, `regs.coppa` and `user.consent`; they
are read in `ext` too, where OpenRTB 2.5 has them.
"""

from collections.abc import Mapping

from bihuan_shared.consent.reading import TCF_SECTION, ConsentStrings

_UNREADABLE = ""
_NO_SECTION = -2
_NOT_APPLYING, _APPLYING = 0, 1


def openrtb_consent(regs: Mapping[str, object], user: Mapping[str, object]) -> ConsentStrings:
    """
    Take the consent strings out of `regs` and `user`; values of another type count as strings that cannot be read.

    Where GDPR is said to apply a TC string must be there, plainly or as a section of the GPP string, or nothing is
    allowed; where it is said not to apply, a plain TC string means nothing. A request under COPPA allows nothing.
    """
    if _field(regs, "coppa") == _APPLYING:
        return ConsentStrings(tcf=_UNREADABLE)
    gdpr = _field(regs, "gdpr")
    tcf, gpp = _text(_field(user, "consent")), _text(_field(regs, "gpp"))
    gpp_sid = _ids(_field(regs, "gpp_sid"))
    if gdpr == _NOT_APPLYING:
        tcf = None
    elif gdpr == _APPLYING and tcf is None:
        tcf, gpp_sid = (_UNREADABLE, gpp_sid) if gpp is None else (None, (*gpp_sid, TCF_SECTION))
    return ConsentStrings(tcf, gpp, gpp_sid, _text(_field(regs, "us_privacy")))


def _field(part: Mapping[str, object], name: str) -> object:
    if name in part:
        return part[name]
    extension = part.get("ext")
    return extension.get(name) if isinstance(extension, Mapping) else None


def _text(value: object) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else _UNREADABLE


def _ids(value: object) -> tuple[int, ...]:
    """Take section ids; what is no list of numbers names a section that no string has."""
    if value is None:
        return ()
    if isinstance(value, list) and all(type(item) is int for item in value):
        return tuple(value)
    return (_NO_SECTION,)
