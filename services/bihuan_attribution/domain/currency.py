"""
The smallest units of currencies, as ISO 4217 lists them (list one, "minor unit").

No package in use knows them, and the table has changed a handful of times in thirty years; what is not listed here has
two places, as all others of the standard do.
"""

from typing import Final

_UNITS_NANOS: Final = (1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000)
"""By the number of places."""
_PLACES: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def minor_unit_nanos(currency: str) -> int:
    """The smallest unit that an amount of a currency is paid in, in nanos."""
    return _UNITS_NANOS[_PLACES.get(currency, 2)]
