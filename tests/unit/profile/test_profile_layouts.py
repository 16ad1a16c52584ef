"""What is stored of a profile: small, exact, and read in every layout that was ever written."""

import string
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event, Item, echo_of
from bihuan_profile.domain.record import EMPTY, Fact, Record, fold, with_facts
from bihuan_profile.domain.taxonomy import TagType
from bihuan_profile.profile_store import words
from bihuan_profile.profile_store.blob import RECORD, DamagedBlobError, decode, encode
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_shared.clock import DAY_US

NOW_US = 1_790_000_000_123_456
MAX_BYTES = 290
"""What the engine keeps in 336 bytes together with its key."""

# Written by the version before the second layout, of `plain()` and of `full()` under revision 7, and of `full()` of a
# person who lives on as person 12.
FIRST_PLAIN = bytes.fromhex(
    "01000000079dcf00065bfe03941e40cf00065b0d73fc6bb99192cf000659a35aea824084a3616765a532352d3334a667656e"
    "646572a166a6726567696f6ea544452d4245ab6465766963655f74797065a570686f6e659396af63617465676f72793a636f"
    "66666565ac63617465676f72793a746561b663617465676f72793a72756e6e696e672d73686f6573ae63617465676f72793a"
    "626f6f6b73b063617465676f72793a6b6574746c6573af63617465676f72793a67617264656e01c4389a9999999999b93f4c"
    "dcd74540dfde3f5b15beed0abbe03fc39f97a637d4b63fcbfcc03c0634dd3f269738519de8b73f9a9999999999b93f939000"
    "c4009495010203050401c430479e492099ac0c402d2df6696104ea3fc148f9696104ea3f42ce3c8c67e2eb3fcbfcc03c0634"
    "ed3f000000000000f03f959204009201cf000000b435febc639201cf000000b435febbfb9201cf00000077dced67b19201cf"
    "0000004fa0c9dc47000080908084a36167654da667656e6465724da6726567696f6e4dab6465766963655f747970654d9500"
    "9090c080"
)
FIRST_FULL = bytes.fromhex(
    "01000000079dcf00065bfeda27c23fcf00065b0d73fc6bb99292cf000659a35aea824084a3616765a532352d3334a667656e"
    "646572a166a6726567696f6ea544452d4245ab6465766963655f74797065a570686f6e6592cf00065bfeda27c24981aa6e65"
    "77736c6574746572c39396af63617465676f72793a636f66666565ac63617465676f72793a746561b663617465676f72793a"
    "72756e6e696e672d73686f6573ae63617465676f72793a626f6f6b73b063617465676f72793a6b6574746c6573af63617465"
    "676f72793a67617264656e01c43809882a3a4b93b93f343f796fa5d7de3f645feadeebb6e03f4c72d80598ceb63fb2fbe9a3"
    "d42cdd3f9d47799ab9e2b73fb0f0c3999999993f9393ac63617465676f72793a746561aa6272616e643a61636d65a4776f72"
    "6400c4183902b5fa0f8eee3f3902b5fa0f8eee3f3902b5fa0f8eee3f9497010c020305040602c4485b969ee388a50c400000"
    "00000000f03f4966cbbcf8fde93f1981cebcf8fde93fa749311e89dbeb3fb2fbe9a3d42ced3f3902b5fa0f8eee3f6e761a00"
    "0000d03f000000000000f03f979204ced693a3ff9201009201cf000000b50c9260629201cf000000b50c925ffa9201cf0000"
    "0078b3810bb09201cf00000050775d80469201cf000000283baebfffcf00065bd69e7902400181a345555292ce016caf60cb"
    "4175c376a555df7592080981cfffffffffffffffff0c84a36167654da667656e6465724da6726567696f6e4dab6465766963"
    "655f747970654d95cf00065bd69e7902409299a461636d65c0cf000000283baebfffcf000000283baebfff0101cf00000028"
    "3baebfffcf000000283baebfffcb3fee8e0ffab5023999a56f7468657200c0c00000c0c0cb00000000000000009297a37465"
    "61a461636d65a1530201cf00065bd69e790240cf00065bd69e79024097a76b6574746c6573a0a00101cf00065bd69e790240"
    "cf00065bd69e790240950001cb0000000000000000cb3fefffffffffed2fcf00065bfeda27c23d81aa6e6577736c65747465"
    "72ac7369676e2d757020666f726d"
)
FIRST_MOVED = bytes.fromhex(
    "0200000007000000000000000c9dcf00065bfeda27c23fcf00065b0d73fc6bb99292cf000659a35aea824084a3616765a532"
    "352d3334a667656e646572a166a6726567696f6ea544452d4245ab6465766963655f74797065a570686f6e6592cf00065bfe"
    "da27c24981aa6e6577736c6574746572c39396af63617465676f72793a636f66666565ac63617465676f72793a746561b663"
    "617465676f72793a72756e6e696e672d73686f6573ae63617465676f72793a626f6f6b73b063617465676f72793a6b657474"
    "6c6573af63617465676f72793a67617264656e01c43809882a3a4b93b93f343f796fa5d7de3f645feadeebb6e03f4c72d805"
    "98ceb63fb2fbe9a3d42cdd3f9d47799ab9e2b73fb0f0c3999999993f9393ac63617465676f72793a746561aa6272616e643a"
    "61636d65a4776f726400c4183902b5fa0f8eee3f3902b5fa0f8eee3f3902b5fa0f8eee3f9497010c020305040602c4485b96"
    "9ee388a50c40000000000000f03f4966cbbcf8fde93f1981cebcf8fde93fa749311e89dbeb3fb2fbe9a3d42ced3f3902b5fa"
    "0f8eee3f6e761a000000d03f000000000000f03f979204ced693a3ff9201009201cf000000b50c9260629201cf000000b50c"
    "925ffa9201cf00000078b3810bb09201cf00000050775d80469201cf000000283baebfffcf00065bd69e7902400181a34555"
    "5292ce016caf60cb4175c376a555df7592080981cfffffffffffffffff0c84a36167654da667656e6465724da6726567696f"
    "6e4dab6465766963655f747970654d95cf00065bd69e7902409299a461636d65c0cf000000283baebfffcf000000283baebf"
    "ff0101cf000000283baebfffcf000000283baebfffcb3fee8e0ffab5023999a56f7468657200c0c00000c0c0cb0000000000"
    "0000009297a3746561a461636d65a1530201cf00065bd69e790240cf00065bd69e79024097a76b6574746c6573a0a00101cf"
    "00065bd69e790240cf00065bd69e790240950001cb0000000000000000cb3fefffffffffed2fcf00065bfeda27c23d81aa6e"
    "6577736c6574746572ac7369676e2d757020666f726d"
)

# Written by the version that brought the second layout, of `full()` under revision 7.
SECOND_FULL = bytes.fromhex(
    "0300000007dc0012cf00065bfeda27c23fc43d060000d693a3ff00b50c92606200b50c925ffa0078b3810bb00050775d8046"
    "00283baebfff025b7f3d3ffffffffffffff600f1662b5686000000000002c4c009882a3a4b93b93f343f796fa5d7de3f645f"
    "eadeebb6e03f4c72d80598ceb63fb2fbe9a3d42cdd3f9d47799ab9e2b73fb0f0c3999999993f3902b5fa0f8eee3f3902b5fa"
    "0f8eee3f3902b5fa0f8eee3f5b969ee388a50c40000000000000f03f4966cbbcf8fde93f1981cebcf8fde93fa749311e89db"
    "eb3fb2fbe9a3d42ced3f3902b5fa0f8eee3f6e761a000000d03f000000000000f03f75df55a576c375413902b5fa0f8eee3f"
    "000000000000000000000000000000002fedffffffffef3f96a701636f66666565a401746561ae0172756e6e696e672d7368"
    "6f6573a601626f6f6b73a8016b6574746c6573a70167617264656e01dc00150104010c010002010203010305010404010506"
    "0106029293078400a532352d333402a16609a544452d42450ca570686f6e654d9408810bc300ac7369676e2d757020666f72"
    "6d099301a50261636d65a4776f7264009301060681a3455552ce016caf609297a3746561a461636d65a1530201060697a76b"
    "6574746c6573a0a0010106069298a461636d65ff06060101060698a56f7468657200ffff0000ffff9300010a92080981cfff"
    "ffffffffffffff0c"
)


def event(key: str, behaviour: Behaviour, ago_us: int, *tags: str) -> Event:
    return Event(1, key, behaviour, NOW_US - ago_us, tags)


def plain() -> Record:
    """Four attributes and six interests."""
    events = [
        event("1", Behaviour.VIEW, 12 * DAY_US + 1_234_567, "category:tea"),
        event("2", Behaviour.SEARCH, 9 * DAY_US + 99, "category:tea"),
        event("3", Behaviour.CLICK, 9 * DAY_US - 5, "category:tea"),
        event("4", Behaviour.CART, 6 * DAY_US + 7_654_321, "category:running-shoes"),
        event("5", Behaviour.VIEW, 5 * DAY_US + 7, "category:books"),
        event("6", Behaviour.FAVOURITE, 4 * DAY_US + 71, "category:kettles"),
        event("7", Behaviour.VIEW, 3 * DAY_US + 3, "category:garden"),
        event("8", Behaviour.VIEW, DAY_US // 24, "category:coffee"),
    ]
    facts = {"age": "25-34", "gender": "f", "region": "DE-BE", "device_type": "phone"}
    told = [(name, Fact(value, NOW_US - 30 * DAY_US, 77)) for name, value in facts.items()]
    return with_facts(fold(EMPTY, events), told)[0]


def full() -> Record:
    """Something of everything."""
    order = Event(
        1,
        "9",
        Behaviour.ORDER,
        NOW_US - 2 * DAY_US,
        ("category:tea", "brand:acme", "word"),
        Amount("EUR", 23_900_000),
        items=(Item("tea", "acme", "S", 2), Item("kettles")),
    )
    record = fold(plain(), [order, event("10", Behaviour.IMPRESSION, 1, "brand:other")])
    record = fold(record, [echo_of(Event(5, "11", Behaviour.CLICK, NOW_US - 3), 1)])
    record, _ = with_facts(record, [("newsletter", Fact(value=True, time_us=NOW_US + 9, origin="sign-up form"))])
    return replace(record, former_ids=(8, 9), moved_sightings={2**64 - 1: 12})


@pytest.mark.parametrize(
    ("stored", "record", "moved_to"), [(FIRST_PLAIN, plain(), 0), (FIRST_FULL, full(), 0), (FIRST_MOVED, full(), 12)]
)
def test_first_layout_is_read_and_goes_with_the_next_write(stored: bytes, record: Record, moved_to: int) -> None:
    held = decode(stored)
    assert (held.record, held.revision, held.moved_to) == (record, 7, moved_to)
    again = encode(held.record, 8, held.moved_to)
    assert again[0] != stored[0]
    assert len(again) < len(stored)
    assert decode(again).record == record


def test_what_the_second_layout_once_wrote_is_read() -> None:
    assert decode(SECOND_FULL).record == full()


def test_profile_of_ten_tags_is_small() -> None:
    assert len(plain().facts) + len(plain().operation_interests.long) == 10
    assert len(encode(plain(), 7)) <= MAX_BYTES


TAGS = st.one_of(
    st.sampled_from(["category:tea", "brand:acme", "coupon:x", "category:", ":", "\0x", "\1", "\x07:"]),
    st.text(min_size=1, max_size=12),
)
EVENTS = st.lists(
    st.builds(
        Event,
        st.just(1),
        st.text(string.ascii_lowercase, max_size=3),
        st.sampled_from(Behaviour),
        st.integers(1, 2**60),
        st.lists(TAGS, max_size=4).map(tuple),
        st.none() | st.builds(Amount, st.sampled_from(["EUR", "USD"]), st.integers(0, 2**53)),
        items=st.lists(st.builds(Item, TAGS, TAGS, TAGS, st.integers(1, 1_000)), max_size=3).map(tuple),
        echo=st.booleans(),
    ),
    max_size=12,
)
FACTS = st.dictionaries(
    st.sampled_from(words.NAMES) | st.text(min_size=1, max_size=12),
    st.builds(
        Fact,
        st.booleans() | st.text(max_size=12) | st.floats(allow_nan=False),
        st.integers(0, 2**60),
        st.integers(0, 2**64 - 1),
        st.text(max_size=5),
    ),
    max_size=5,
)
RECORDS = st.builds(
    lambda events, facts, former, moved: replace(
        with_facts(fold(EMPTY, events), facts.items())[0], former_ids=tuple(former), moved_sightings=moved
    ),
    EVENTS,
    FACTS,
    st.lists(st.integers(1, 2**63), max_size=3),
    st.dictionaries(st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1), max_size=3),
)


@given(RECORDS, st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_what_is_stored_is_read_back_exactly(record: Record, revision: int, moved_to: int) -> None:
    held = decode(encode(record, revision, moved_to))
    assert (held.record, held.revision, held.moved_to) == (record, revision, moved_to)
    # 1 equals True and 1.0: the type of a value is part of it.
    assert {name: type(fact.value) for name, fact in held.record.facts.items()} == {
        name: type(fact.value) for name, fact in record.facts.items()
    }


@given(st.text(max_size=20))
def test_short_tags_are_told_apart(tag: str) -> None:
    assert words.full_tag(words.short_tag(tag)) == tag


def test_every_attribute_that_can_be_set_is_stored_by_number() -> None:
    """A new one goes to the end of `words.NAMES`: numbers in it are on disk."""
    told = {tag.name for tag in packaged_taxonomy().tags if not tag.derived and tag.type is not TagType.INTEREST}
    assert told <= set(words.NAMES)
    assert len(set(words.NAMES)) == len(words.NAMES)


@given(RECORDS, st.data())
def test_record_that_was_cut_short_or_changed_is_damaged_or_another_one(record: Record, data: st.DataObject) -> None:
    """Whatever the bytes are, nothing but DamagedBlobError comes out of reading them."""
    stored = bytearray(encode(record, 7))
    place = data.draw(st.integers(5, len(stored) - 1))
    stored[place] = data.draw(st.integers(0, 255))
    for wrong in (bytes(stored), bytes(stored[:place])):
        try:
            decode(wrong)
        except DamagedBlobError:
            continue


@pytest.mark.parametrize("body", [b"", b"\x90", b"\x91\xc0", b"\x93\x00\xc4\x00\xc4\x08" + struct.pack("<d", 1.0)[:7]])
def test_body_that_is_no_record_is_damaged(body: bytes) -> None:
    with pytest.raises(DamagedBlobError):
        decode(bytes((RECORD, 0, 0, 0, 7)) + body)
