"""How identifiers are resolved: what is answered for known ones, and what is written for new ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bihuan_identity.domain.graph import (
    CERTAIN_PPM,
    RESOLVE_SOURCE,
    Attachment,
    Counters,
    Evidence,
    EvidenceKind,
    GraphChange,
    GraphView,
    IdentifierRow,
    KeyedIdentifier,
    Person,
)


@dataclass(frozen=True, slots=True)
class Item:
    """One set of identifiers (distinct, at least one) to resolve, seen at `time_us`."""

    identifiers: tuple[KeyedIdentifier, ...]
    create: bool
    time_us: int


@dataclass(frozen=True, slots=True)
class Resolution:
    """The person behind an item; `person_id` None means that nobody is known."""

    person_id: int | None
    confidence_ppm: int = 0
    created: bool = False
    ambiguous: bool = False


NOBODY = Resolution(None)


def answer(item: Item, known: Mapping[bytes, Attachment]) -> Resolution:
    """
    Answer from what is known, without changing anything.

    Where the identifiers point to several persons the oldest (smallest id) is answered as ambiguous. The confidence is
    that of the weakest identifier that points to the answered person, and never above its namespace's trust.
    """
    person_id: int | None = None
    confidence_ppm = CERTAIN_PPM
    ambiguous = False
    for identifier in item.identifiers:
        attachment = known.get(identifier.key)
        if attachment is None:
            continue
        if person_id is not None and attachment.person_id != person_id:
            ambiguous = True
            if attachment.person_id > person_id:
                continue
            confidence_ppm = CERTAIN_PPM
        person_id = attachment.person_id
        confidence_ppm = min(confidence_ppm, attachment.confidence_ppm, identifier.trust_ppm)
    return NOBODY if person_id is None else Resolution(person_id, confidence_ppm, ambiguous=ambiguous)


def needs_writing(item: Item, known: Mapping[bytes, Attachment], resolution: Resolution) -> bool:
    """Tell whether an item has identifiers that are to be created or attached."""
    if not item.create or resolution.ambiguous:
        return False
    return any(identifier.key not in known for identifier in item.identifiers)


@dataclass(slots=True)
class _Draft:
    """The graph as it will be once the items planned so far are written."""

    counters: Counters
    known: dict[bytes, Attachment]
    sizes: dict[int, int] = field(default_factory=dict)
    degrees: dict[bytes, int] = field(default_factory=dict)
    persons: list[Person] = field(default_factory=list)
    identifiers: list[IdentifierRow] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)

    def change(self) -> GraphChange:
        return GraphChange(
            counters=self.counters,
            persons=tuple(self.persons),
            identifiers=tuple(self.identifiers),
            evidence=tuple(self.evidence),
        )


def plan_resolve(
    view: GraphView, items: Sequence[Item], *, max_cluster_size: int
) -> tuple[GraphChange, tuple[Resolution, ...]]:
    """
    Resolve items in order and plan what is to be written; an item sees what earlier items create.

    An item of which nothing is known becomes a person. New identifiers beside known ones of one person attach to that
    person by deterministic evidence with the best known of them, except where a guard (cluster size, degree) forbids:
    then the known person is answered and the new identifiers stay unknown. Ambiguous items change nothing.
    """
    draft = _Draft(view.counters(), dict(view.attachments(_keys(items))))
    _load_guards(view, items, draft)
    resolutions = []
    for item in items:
        resolution = answer(item, draft.known)
        if needs_writing(item, draft.known, resolution):
            resolution = _write(item, resolution, draft, max_cluster_size)
        resolutions.append(resolution)
    return draft.change(), tuple(resolutions)


def _keys(items: Iterable[Item]) -> list[bytes]:
    return list({identifier.key: None for item in items for identifier in item.identifiers})


def _load_guards(view: GraphView, items: Sequence[Item], draft: _Draft) -> None:
    anchors = (
        list(draft.known) if any(needs_writing(item, draft.known, answer(item, draft.known)) for item in items) else []
    )
    if anchors:
        draft.sizes.update(view.sizes(sorted({draft.known[key].person_id for key in anchors})))
        draft.degrees.update((key, len(others)) for key, others in view.neighbours(anchors).items())


def _write(item: Item, resolution: Resolution, draft: _Draft, max_cluster_size: int) -> Resolution:
    fresh = [identifier for identifier in item.identifiers if identifier.key not in draft.known]
    if resolution.person_id is None:
        return _create(item, draft)
    anchor = max(
        (identifier for identifier in item.identifiers if identifier.key in draft.known),
        key=lambda identifier: draft.known[identifier.key].confidence_ppm,
    )
    size = draft.sizes.get(resolution.person_id, 0) + len(fresh)
    degree = draft.degrees.get(anchor.key, 0) + len(fresh)
    if size > max_cluster_size or degree > anchor.max_degree:
        return resolution
    attachment = Attachment(resolution.person_id, draft.known[anchor.key].confidence_ppm)
    _attach(item, fresh, attachment, draft)
    draft.sizes[resolution.person_id] = size
    draft.degrees[anchor.key] = degree
    _tie(item, [anchor, *fresh], draft)
    for identifier in fresh:
        draft.degrees[identifier.key] = len(fresh)
    return answer(item, draft.known)


def _create(item: Item, draft: _Draft) -> Resolution:
    counters = draft.counters
    person_id = counters.person_id
    draft.counters = Counters(person_id + 1, counters.evidence_id, counters.merge_id)
    draft.persons.append(Person(person_id, item.identifiers[0].key, item.time_us))
    _attach(item, item.identifiers, Attachment(person_id, CERTAIN_PPM), draft)
    draft.sizes[person_id] = len(item.identifiers)
    if len(item.identifiers) > 1:
        _tie(item, item.identifiers, draft)
        for identifier in item.identifiers:
            draft.degrees[identifier.key] = len(item.identifiers) - 1
    confidence_ppm = min(identifier.trust_ppm for identifier in item.identifiers)
    return Resolution(person_id, confidence_ppm, created=True)


def _attach(item: Item, fresh: Sequence[KeyedIdentifier], attachment: Attachment, draft: _Draft) -> None:
    for identifier in fresh:
        draft.known[identifier.key] = attachment
        draft.identifiers.append(IdentifierRow(identifier.key, identifier.namespace, attachment, item.time_us))


def _tie(item: Item, identifiers: Sequence[KeyedIdentifier], draft: _Draft) -> None:
    counters = draft.counters
    draft.counters = Counters(counters.person_id, counters.evidence_id + 1, counters.merge_id)
    draft.evidence.append(
        Evidence(
            evidence_id=counters.evidence_id,
            kind=EvidenceKind.DETERMINISTIC,
            source=RESOLVE_SOURCE,
            confidence_ppm=CERTAIN_PPM,
            observe_time_us=item.time_us,
            record_time_us=item.time_us,
            members=tuple(identifier.key for identifier in identifiers),
        )
    )
