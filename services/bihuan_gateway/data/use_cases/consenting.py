"""What a caller says that a person agreed to: named, as consent strings, or both."""

from collections.abc import Callable
from dataclasses import dataclass

from bihuan_gateway.data.ports import Consent
from bihuan_shared.clock import Clock
from bihuan_shared.consent import ConsentStrings, TcfRules, read_consent_strings

READ = "read"


@dataclass(frozen=True, slots=True)
class Told:
    """The consent that counts, and why a string was refused: the name of a `bihuan_shared.consent.Refusal`, or None."""

    consent: Consent
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class ReadConsent:
    """Reads consent strings by our rules; `count` is told the form of each and what became of it."""

    rules: TcfRules
    clock: Clock
    count: Callable[[str, str], None]

    def __call__(self, named: Consent | None, strings: ConsentStrings) -> Told:
        """
        Tell what is allowed: what is named and what the strings allow, both where both are given.

        Never raises: a string that cannot be read allows nothing. The source is that of the strings.
        """
        reading = read_consent_strings(strings, self.rules, self.clock.now_us())
        if reading is None:
            return Told(named or Consent())
        for form, refusal in reading.outcomes:
            self.count(form.value, refusal.value.lower() if refusal is not None else READ)
        read = reading.consent
        consent = Consent(
            purposes=read.purposes & named.purposes if named is not None else read.purposes,
            data_classes=read.data_classes & named.data_classes if named is not None else read.data_classes,
            source=read.source,
        )
        return Told(consent, reading.refusal.value if reading.refusal is not None else None)
