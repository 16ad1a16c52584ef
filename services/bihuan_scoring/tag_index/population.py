"""A segment as the evaluator of expressions sees it."""

from collections.abc import Callable
from dataclasses import dataclass

from pyroaring import BitMap

from bihuan_scoring.tag_index.column import within
from bihuan_scoring.tag_index.content import (
    Content,
    flag_key,
    instant_key,
    interest_key,
    number_key,
    segment_key,
    text_key,
    texts_key,
)
from bihuan_scoring.tag_index.decay import VISIBLE, instant_growth, long_growth, moved
from bihuan_shared.targeting import Attribute, Interest, Operand, Span

Audiences = Callable[[str, int], BitMap]
"""The members of an audience in a block; nobody where there is none."""


@dataclass(frozen=True, slots=True)
class SegmentPopulation:
    """What one segment knows at an instant, in microseconds."""

    content: Content
    now_us: int
    audiences: Audiences

    def everyone(self) -> BitMap:
        """All persons of the segment."""
        return self.content.persons

    def text(self, name: str, value: str, /) -> BitMap:
        """Whose attribute is this text."""
        return self.content.bitmap(text_key(name, value))

    def texts(self, name: str, /) -> BitMap:
        """Whose attribute is a text."""
        return self.content.bitmap(texts_key(name))

    def flag(self, name: str, /, *, value: bool) -> BitMap:
        """Whose attribute is this flag."""
        return self.content.bitmap(flag_key(name, value=value))

    def numbers(self, operand: Operand, span: Span, among: BitMap | None = None, /) -> BitMap:
        """Whose attribute is a number in `span`, or whose interest is told and in `span`; of `among` where given."""
        if isinstance(operand, Attribute):
            return within(self.content, number_key(operand.name), span, among)
        found = self._interest(operand.tag, span, among, long=isinstance(operand, Interest))
        if span.low < VISIBLE:
            told = Span(VISIBLE)
            found = self._interest(operand.tag, told, found, long=True) | self._interest(
                operand.tag, told, found, long=False
            )
        return found

    def _interest(self, tag: str, span: Span, among: BitMap | None, *, long: bool) -> BitMap:
        growth = (long_growth if long else instant_growth)(self.content.origin_us, self.now_us)
        positive = Span(max(span.low, 0.0), span.high, span.low_open or span.low < 0, span.high_open)
        return within(self.content, (interest_key if long else instant_key)(tag), moved(positive, growth), among)

    def audience(self, audience_id: str, /) -> BitMap:
        """Who is in an audience and in the segment."""
        return self.audiences(audience_id, self.content.block) & self.content.persons

    def segment(self, segment_id: str, /) -> BitMap:
        """Who is in a segment of the profile."""
        return self.content.bitmap(segment_key(segment_id))
