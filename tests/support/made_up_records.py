"""Made-up people and made-up errors, seeded: what linkage tests link. The truth is the column `person`."""

import csv
import random
from collections.abc import Sequence
from pathlib import Path

SYLLABLES = ("ka", "lo", "mi", "ren", "tas", "vo", "shu", "del", "bri", "on", "qua", "zep", "ny", "fal", "gor", "hes")
COLUMNS = (
    "rec_id",
    "given_name",
    "surname",
    "date_of_birth",
    "street_number",
    "address",
    "suburb",
    "postcode",
    "state",
)
Row = dict[str, str]


def people(count: int, seed: int) -> list[Row]:
    """One record a person."""
    dice = random.Random(seed)
    suburbs = [(_word(dice, 3), f"{dice.randrange(1_000, 9_999)}") for _ in range(60)]
    rows = []
    for number in range(count):
        suburb, postcode = dice.choice(suburbs)
        row = {
            "rec_id": f"r-{number}-a",
            "given_name": _word(dice, 2),
            "surname": _word(dice, 3),
            "date_of_birth": f"{dice.randrange(1930, 2005)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}",
            "street_number": f"{dice.randrange(1, 200)}",
            "address": f"{_word(dice, 3)} street",
            "suburb": suburb,
            "postcode": postcode,
            "state": dice.choice(("nsw", "vic", "qld")),
            "person": f"{number}",
        }
        rows.append(row)
    return rows


def repeated(rows: Sequence[Row], seed: int, *, errors: int = 2) -> list[Row]:
    """The same people once more, each with some fields misspelt or left out, under other record ids."""
    dice = random.Random(seed)
    return [_misspelt(row, dice, errors) for row in rows]


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = (*COLUMNS, "person")) -> Path:
    """Write rows with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _word(dice: random.Random, syllables: int) -> str:
    return "".join(dice.choice(SYLLABLES) for _ in range(syllables))


def _misspelt(row: Row, dice: random.Random, errors: int) -> Row:
    copy = row | {"rec_id": row["rec_id"].replace("-a", "-b")}
    for column in dice.sample(COLUMNS[1:], errors):
        text = copy[column]
        at = dice.randrange(len(text))
        copy[column] = "" if dice.random() < 0.3 else text[:at] + dice.choice("aeiou123") + text[at + 1 :]
    return copy
