"""Any ratings.csv gives the same rows as a slow and obvious reader."""

from __future__ import annotations

import csv
import math
import re
import tempfile
from dataclasses import fields
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.file_format import Header
from movierec_assets.datasets.rating_rows import ParsedRows, parse_line, parse_rows
from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_tests.datasets.small_files import KNOWN, NOW, body, read, rows

DAYS = [
    "2001-01-03 22:52:36",
    "2001-01-03T22:52:36.5Z",
    "2001-01-04 00:52+02:00",
    "2001-01-03",
    "2001-02-30",
    "2001-1-3",
]
IDS = st.sampled_from(
    ["1", "2", "3", "007", "+2", " 3", '"1"', "-1", "0", "99", "1000000000", "2147483648", "1.0", "2.000", "1.5", "3e0"]
)
JUNK = st.sampled_from(["", "nan", "NULL", "x", "1_0", '"', '""', '"1', "\0", "\xe9", "9" * 25, "1 1", "\r"])
STARS = st.sampled_from(["4", "4.0", "0.5", " 3.5", "5.00", '"2.5"', "5.5", "0", "3.7", "1e0", "-1", "inf", ".5"])
TIMES = st.sampled_from(["1", "100", "100", "101", "1112486027000", "0", "1e3", "5.0", "5.5", str(NOW), *DAYS])
GOOD = st.builds("{},{},{},{}".format, *[st.sampled_from(["1", "2", "3"])] * 2, st.just("4.0"), TIMES)
MIXED = st.builds("{},{},{},{}".format, IDS | JUNK, IDS | JUNK, STARS | JUNK, TIMES | JUNK)
RAGGED = st.lists(IDS | STARS | JUNK, max_size=6).map(",".join)
FREE = st.text(st.sampled_from('019.,"-eE \t\r\0é'), max_size=20)
USUAL = (
    *("{},1,4.0,100", "{}.0,1.0,4,100.0", '{},1,4.0,"2001-01-03 22:52:36"'),
    *("{},1,4,2001-01-03T22:52:36+01:00", "{}.00,1.000,4,100"),
)
LINES = st.lists(GOOD | MIXED | RAGGED | FREE, min_size=1, max_size=25)


def reference(content: bytes) -> tuple[list[tuple[int, int, float, int]], set[int]]:
    """The slow and obvious reader: accepted rows in file order, and the lines of rejected ones."""

    def value(text: str, allowed: str) -> Fraction:
        text = text.strip(" \t")
        if not text or set(text) - set(allowed):
            raise ValueError
        return Fraction(text)

    def whole(text: str) -> int:
        found = value(text, "+-.0123456789eE")
        if found.denominator != 1 or re.fullmatch(r"\s*[+-]?\d+\.\d{3}\s*", text):
            raise ValueError
        return int(found)

    def time(text: str) -> int:
        try:
            return whole(text)
        except ValueError:
            moment = datetime.fromisoformat(text.strip(" \t"))
            return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())

    winner: dict[tuple[int, int], tuple[int, int, float]] = {}
    rejected: set[int] = set()
    lines = content.split(b"\n")
    for number, raw in enumerate(lines[1:], 2):
        text = raw.decode("utf-8", "replace").replace("\r", " ").strip(" \t")
        if not text:
            continue
        try:
            values = next(csv.reader([text], skipinitialspace=True, strict=True))
            user, movie, seconds = whole(values[0]), whole(values[1]), time(values[3])
            stars = value(values[2], "+-.0123456789eE")
        except (ValueError, csv.Error, IndexError):
            rejected.add(number)
            continue
        good = (
            len(values) == 4
            and 0 < user < FIRST_APP_USER_ID
            and movie in KNOWN
            and stars in {Fraction(half, 2) for half in range(1, 11)}
            and 0 < seconds <= NOW + 86_400
            and (seconds >= 788_918_400 or number < len(lines) or raw.endswith(b"\r"))
        )
        earlier = winner.get((user, movie)) if good else None
        if not good or (earlier and earlier[1] > seconds):
            rejected.add(number)
            continue
        if earlier:
            rejected.add(earlier[0])
        winner[user, movie] = (number, seconds, float(stars))
    kept = sorted((number, pair, stars, seconds) for pair, (number, seconds, stars) in winner.items())
    return [(user, movie, stars, seconds) for _, (user, movie), stars, seconds in kept], rejected


@settings(max_examples=150, deadline=None)
@given(
    lines=LINES,
    filler=st.sampled_from([0, 0, 300]),
    end=st.sampled_from(["\n", "\r\n"]),
    unended=st.sampled_from(["", "", "3,3,3,3", f"3,3,3,{NOW}", "3,3,3,3\r", "3,3"]),
    block_bytes=st.sampled_from([256, 2048, 1 << 20]),
)
def test_any_mix_of_rows_is_read_as_the_plain_reader_does(
    lines: list[str], filler: int, end: str, unended: str, block_bytes: int
) -> None:
    # Fillers make blocks long enough for the typed path; they stand between the drawn lines and before them.
    spread = [f"{10 + number},1,4.0,100" for number in range(filler)]
    for position, line in enumerate(lines):
        spread.insert((position * 97) % (len(spread) + 1), line)
    content = (body("1000000,1,4.0,100", *spread, end=end) + unended).encode("latin-1")
    accepted, rejected = reference(content)
    with tempfile.TemporaryDirectory() as directory:
        ratings = read(Path(directory), content, block_bytes)
    assert rows(ratings) == accepted
    assert set(ratings.rejects.line.tolist()) == rejected
    assert ratings.rows_read == len(ratings) + len(ratings.rejects)
    assert ratings.rejects.line.tolist() == sorted(rejected)
    physical = [raw.rstrip(b"\r").replace(b"\0", b"").decode("utf-8", "replace") for raw in content.split(b"\n")]
    assert ratings.rejects.text.to_list() == [physical[line - 1] for line in sorted(rejected)]
    assert sum(ratings.rejects.by_reason().values()) == len(rejected)


@settings(max_examples=60, deadline=None)
@given(
    lines=LINES,
    positions=st.lists(st.integers(0, 400), min_size=25, max_size=25),
    usual=st.sampled_from(
        ["{},1,4.0,100", "{}.0,1.0,4,100.0", '{},1,4.0,"2001-01-03 22:52:36"', "{},1,4,2001-01-03T22:52:36+01:00"]
    ),
)
def test_the_typed_path_reads_every_line_as_the_definition_does(
    lines: list[str], positions: list[int], usual: str
) -> None:
    spread = [usual.format(number) for number in range(400)]
    for line, position in zip(lines, positions, strict=False):
        spread.insert(position, line)
    data = "".join(line + "\n" for line in spread).encode()
    header = Header((0, 1, 2, 3), 4, 1)
    fast = parse_rows(data, len(spread), header)
    exact = [parse_line(line, header) for line in data.split(b"\n")[:-1]]
    columns = [getattr(fast, field.name) for field in fields(ParsedRows)]
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == exact
