"""What is shown of a person: everything identity tells, and no identifier whole."""

from itertools import combinations
from random import Random
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_cli.portraits.dot import draw_dot
from bihuan_cli.portraits.layout import place
from bihuan_cli.portraits.portrait import Portrait, as_json, read_portrait
from bihuan_cli.portraits.svg import MAX_LABELLED, draw_svg
from bihuan_cli.portraits.tree import MAX_ROWS, draw_tree

HASHES = [f"{at:02x}" * 16 for at in range(1, 7)]
SVG = "{http://www.w3.org/2000/svg}"


def answer() -> pb.GetPersonResponse:
    """A login, an e-mail and a cookie told together; an uncertain household; a cookie in quarantine, tied elsewhere."""
    person = pb.GetPersonResponse(person_id=17, alias_person_ids=[18])
    scopes = ("person", "person", "browser", "household", "browser")
    names = ("login", "email_sha256", "cookie", "household", "cookie")
    for name, scope, keyed_hash in zip(names, scopes, HASHES, strict=False):
        row = person.identifiers.add(namespace=name, scope=scope, keyed_hash=keyed_hash)
        row.first_seen_time.FromSeconds(1_700_000_000)
    person.identifiers[4].quarantined = True
    for at, (kind, source, confidence, members) in enumerate(
        (
            (pb.EVIDENCE_KIND_DETERMINISTIC, "login", 1, HASHES[:3]),
            (pb.EVIDENCE_KIND_PROBABILISTIC, "splink", 0.43, [HASHES[1], HASHES[3]]),
            (pb.EVIDENCE_KIND_DETERMINISTIC, "order", 1, HASHES[4:6]),
        ),
        1,
    ):
        evidence = pb.Evidence(kind=kind, source=source, confidence=confidence)
        edge = person.edges.add(evidence_id=str(at), keyed_hashes=members, evidence=evidence)
        edge.evidence.observe_time.FromSeconds(1_700_000_000)
        edge.last_observe_time.FromSeconds(1_700_000_060)
    for change, merged in (("created", []), ("merged", [18])):
        person.history.add(change=change, merged_person_ids=merged).change_time.FromSeconds(1_700_000_000)
    return person


@pytest.fixture
def portrait() -> Portrait:
    return read_portrait(answer())


def printed(portrait: Portrait) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(draw_tree(portrait), highlight=False)
    return capture.get()


def test_tree_shows_identifiers_evidence_aliases_and_history(portrait: Portrait) -> None:
    text = printed(portrait)
    for expected in (
        "person 17 also known as 18",
        "identifiers (6)",
        "login 01010101 person, first seen 2023-11-14T22:13:20Z",
        "cookie 05050505 quarantined",
        "06060606 outside",
        "#2 splink, probabilistic, confidence 0.43 2023-11-14T22:13:20Z to 2023-11-14T22:14:20Z",
        "merged 18",
    ):
        assert expected in text


def test_no_hash_is_shown_whole(portrait: Portrait) -> None:
    shown = printed(portrait) + draw_dot(portrait) + draw_svg(portrait) + str(as_json(portrait))
    assert "0101" in shown
    assert not any(keyed_hash[:10] in shown for keyed_hash in HASHES)


def test_machines_get_everything_by_the_same_short_names(portrait: Portrait) -> None:
    told = as_json(portrait)
    assert told["person_id"] == 17
    assert told["evidence"] == [
        {
            "evidence_id": at,
            "kind": kind,
            "source": source,
            "confidence": confidence,
            "first_seen_time": "2023-11-14T22:13:20Z",
            "last_seen_time": "2023-11-14T22:14:20Z",
            "identifiers": members,
        }
        for at, kind, source, confidence, members in (
            ("1", "deterministic", "login", 1.0, ["login 01010101", "email_sha256 02020202", "cookie 03030303"]),
            ("2", "probabilistic", "splink", 0.43, ["email_sha256 02020202", "household 04040404"]),
            ("3", "deterministic", "order", 1.0, ["cookie 05050505", "06060606"]),
        )
    ]


def test_long_lists_are_cut_in_the_tree_only() -> None:
    person = answer()
    person.edges.extend([person.edges[1]] * MAX_ROWS)
    portrait = read_portrait(person)
    assert "and 3 more; --json shows all" in printed(portrait)
    assert len(portrait.pieces) == MAX_ROWS + 3


def test_graphviz_joins_two_by_an_edge_and_more_in_a_point(portrait: Portrait) -> None:
    text = draw_dot(portrait)
    assert text.count("shape=point") == 1
    assert text.count("e0 -- i") == 3
    assert 'i1 -- i3 [penwidth=2.18, style=dashed, label="splink 0.43"];' in text
    assert text.count("penwidth=3, ") == 1, "one identifier is in quarantine"


def test_picture_has_every_identifier_and_every_tie(portrait: Portrait) -> None:
    root = ET.fromstring(draw_svg(portrait))  # noqa: S314  # our own text
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert [title for title in titles if title.startswith("#")] == [
        f"#{piece.evidence_id} {piece.source}, {piece.kind}, confidence {piece.confidence:.3g}, "
        f"{piece.first_seen_time} to {piece.last_seen_time}"
        for piece in portrait.pieces
    ]
    assert {f"{mark.label}, {mark.scope}" for mark in portrait.marks} <= {
        title.removesuffix(", quarantined") for title in titles
    }
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"01010101", "06060606", "quarantined"} <= texts
    for circle in root.iter(f"{SVG}circle"):
        assert 0 < float(circle.attrib["cx"]) < float(root.attrib["width"])
        assert 0 < float(circle.attrib["cy"]) < float(root.attrib["height"])


def test_crowded_picture_keeps_names_as_tool_tips() -> None:
    person = pb.GetPersonResponse(person_id=1)
    for at in range(MAX_LABELLED + 1):
        person.identifiers.add(namespace="cookie", scope="browser", keyed_hash=f"{at:032x}"[::-1])
    root = ET.fromstring(draw_svg(read_portrait(person)))  # noqa: S314  # our own text
    assert not any("cookie" in (text.text or "") for text in root.iter(f"{SVG}text"))
    assert sum("cookie" in (title.text or "") for title in root.iter(f"{SVG}title")) == MAX_LABELLED + 1


def test_neighbours_stand_an_edge_apart() -> None:
    edges = [(at, at + 1) for at in range(9)]
    places = place(10, edges)
    lengths = [float(np.linalg.norm(places[one] - places[other])) for one, other in edges]
    assert lengths == pytest.approx([1.0] * 9, rel=0.05)


@given(st.integers(1, 25), st.randoms(use_true_random=False))
def test_nodes_of_any_graph_stand_apart_and_always_in_the_same_places(count: int, dice: Random) -> None:
    edges = [(dice.randrange(at), at) for at in range(1, count) if dice.random() < 0.9]
    places = place(count, edges)
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    assert all(np.linalg.norm(places[one] - places[other]) > 0.01 for one, other in combinations(range(count), 2))
    assert (place(count, edges) == places).all()
