"""Claims about the readers: what loads, what is rejected with which reason, and what stops the load."""

from __future__ import annotations

import csv
import hashlib
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.layout import Header
from movierec_assets.datasets.movielens import (
    FIRST_APP_USER_ID,
    DatasetError,
    MovieLensFiles,
    Ratings,
    content_hash,
    parse_year,
    read_movies,
    read_ratings,
)
from movierec_assets.datasets.rating_rows import parse_line, parse_rows

NOW = 1_700_000_000
KNOWN = [1, 2, 3, 2**31 - 1]
HEADER = "userId,movieId,rating,timestamp"


def dataset(directory: Path, ratings: str | bytes, movies: str | bytes | None = None, links: str | None = None) -> Path:
    def write(name: str, content: str | bytes) -> None:
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    directory.mkdir(parents=True, exist_ok=True)
    write("ratings.csv", ratings)
    write("movies.csv", "movieId,title,genres\n1,Toy Story (1995),Comedy\n" if movies is None else movies)
    if links is not None:
        write("links.csv", links)
    return directory


def read(directory: Path, ratings: str | bytes, block_bytes: int = 1 << 16) -> Ratings:
    return read_ratings(MovieLensFiles.at(dataset(directory, ratings)), KNOWN, now=NOW, block_bytes=block_bytes)


def rows(ratings: Ratings) -> list[tuple[int, int, float, int]]:
    columns = (ratings.user_id, ratings.movie_id, ratings.rating, ratings.rated_at)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def body(*lines: str, end: str = "\n") -> str:
    return end.join([HEADER, *lines, ""])


def only_reject(directory: Path, line: str) -> str:
    """Reason given for one bad line between two good ones; checks that both of those load."""
    ratings = read(directory, body("1,1,4.0,100", line, "1,2,3.5,200"))
    assert rows(ratings) == [(1, 1, 4.0, 100), (1, 2, 3.5, 200)]
    assert ratings.rows_read == 3
    assert list(ratings.rejects.rows()) == [("ratings.csv", 3, line.strip("\r"), ratings.rejects.reason[0])]
    return ratings.rejects.reason[0]


# --- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
def test_a_directory_without_one_of_the_two_files_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    dataset(tmp_path, body("1,1,4.0,100"))
    (tmp_path / name).unlink()
    with pytest.raises(DatasetError, match=f"{name} missing.*unpack the archive again"):
        MovieLensFiles.at(tmp_path)


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        MovieLensFiles.at(tmp_path / "nowhere")
    file = tmp_path / "ratings.csv"
    file.write_text(HEADER)
    with pytest.raises(DatasetError, match="is a file"):
        MovieLensFiles.at(file)


def test_links_are_optional(tmp_path: Path) -> None:
    assert MovieLensFiles.at(dataset(tmp_path, HEADER)).links is None
    assert MovieLensFiles.at(dataset(tmp_path, HEADER, links="movieId,imdbId,tmdbId\n")).links == tmp_path / "links.csv"


def test_the_content_hash_follows_content_and_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"ab")
    two.write_bytes(b"c")
    first = content_hash(one, two)
    digests = hashlib.sha256(b"ab").digest() + hashlib.sha256(b"c").digest()
    assert first == hashlib.sha256(digests).hexdigest() == content_hash(one, two)
    assert content_hash(two, one) != first
    one.write_bytes(b"a")
    two.write_bytes(b"bc")
    assert content_hash(one, two) != first


# --- ratings that load ---------------------------------------------------------------------------------------


def test_rows_load_typed_and_in_file_order(tmp_path: Path) -> None:
    ratings = read(tmp_path, body("7,3,0.5,1", "7,1,5.0,1112486027", "2,2,3.5,1112484676"))
    assert rows(ratings) == [(7, 3, 0.5, 1), (7, 1, 5.0, 1112486027), (2, 2, 3.5, 1112484676)]
    dtypes = [ratings.user_id.dtype, ratings.movie_id.dtype, ratings.rating.dtype, ratings.rated_at.dtype]
    assert [str(dtype) for dtype in dtypes] == ["int32", "int32", "float32", "int64"]
    assert (ratings.rows_read, ratings.rows_complete, len(ratings), len(ratings.rejects)) == (3, 3, 3, 0)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_byte_order_mark_and_line_ends_do_not_matter(tmp_path: Path, end: str, bom: bytes, last: bool) -> None:
    text = body("1,1,4.0,100", f"1,2,3.5,{NOW}", end=end)
    ratings = read(tmp_path, bom + (text if last else text.removesuffix(end)).encode())
    assert rows(ratings) == [(1, 1, 4.0, 100), (1, 2, 3.5, NOW)]


@pytest.mark.parametrize("rating", ["4", "4.0", "4.00", '"4.0"', " 4.0 ", "+4", "4."])
@pytest.mark.parametrize("repeat", [1, 500])
def test_ways_to_write_four_stars(tmp_path: Path, rating: str, repeat: int) -> None:
    ratings = read(tmp_path, body(*(f"{user},1,{rating},100" for user in range(1, repeat + 1))))
    assert rows(ratings) == [(user, 1, 4.0, 100) for user in range(1, repeat + 1)]


def test_a_wholly_quoted_file_loads(tmp_path: Path) -> None:
    text = '"userId","movieId","rating","timestamp"\n' + "".join(f'"{u}","2","3.5","9"\n' for u in range(1, 400))
    assert rows(read(tmp_path, text)) == [(user, 2, 3.5, 9) for user in range(1, 400)]


def test_columns_are_found_by_name_and_further_ones_are_ignored(tmp_path: Path) -> None:
    text = 'note,timestamp,MovieId,rating, userId\nx,100,1,4.0,7\n"a,b",200,2,4.5,8\n,300,3,1.0,9\n'
    assert rows(read(tmp_path, text)) == [(7, 1, 4.0, 100), (8, 2, 4.5, 200), (9, 3, 1.0, 300)]


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path: Path) -> None:
    ratings = read(tmp_path, "\n" + body("1,1,4.0,100", "", "  \t", "1,2,9.0,200", "", ""))
    assert rows(ratings) == [(1, 1, 4.0, 100)]
    assert (ratings.rows_read, ratings.rejects.line.tolist()) == (2, [6])


def test_the_largest_ids_load(tmp_path: Path) -> None:
    ratings = read(tmp_path, body(f"{FIRST_APP_USER_ID - 1},{2**31 - 1},4.0,100"))
    assert rows(ratings) == [(FIRST_APP_USER_ID - 1, 2**31 - 1, 4.0, 100)]


def test_a_rating_of_tomorrow_loads_and_one_of_the_day_after_does_not(tmp_path: Path) -> None:
    ratings = read(tmp_path, body(f"1,1,4.0,{NOW + 86_400}", f"1,2,4.0,{NOW + 86_401}"))
    assert rows(ratings) == [(1, 1, 4.0, NOW + 86_400)]
    assert ratings.rejects.by_reason() == {"impossible timestamp": 1}


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    text = body(*(f"{user},1,4.0,100" for user in range(1, 200)))
    seen: list[tuple[int, int]] = []
    files = MovieLensFiles.at(dataset(tmp_path, text))
    read_ratings(files, KNOWN, now=NOW, block_bytes=512, progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == (len(text), len(text))


# --- ratings that do not -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",1,4.0,100", "missing user id"),
        ("1,,4.0,100", "missing movie id"),
        ("1,1,,100", "missing rating"),
        ('1,1,"",100', "missing rating"),
        ("1,1,NaN,100", "missing rating"),
        ("1,1,NA,100", "missing rating"),
        ("1,1,null,100", "missing rating"),
        ("1,1,4.0,", "missing timestamp"),
        ("1,1,4.0, \r", "missing timestamp"),
        ("x,1,4.0,100", "user id is not an integer"),
        ("12.0,1,4.0,100", "user id is not an integer"),
        ("1_0,1,4.0,100", "user id is not an integer"),
        ("1,one,4.0,100", "movie id is not an integer"),
        ("1,1,good,100", "rating is not a number"),
        ("1,1,inf,100", "rating is not a number"),
        ("1,1,4.0,2015-03-31", "timestamp is not an integer number of seconds"),
        ("1,1,4.0,100.5", "timestamp is not an integer number of seconds"),
        ("0,1,4.0,100", "user id outside 1 to 2147483647"),
        ("-1,1,4.0,100", "user id outside 1 to 2147483647"),
        ("2147483648,1,4.0,100", "user id outside 1 to 2147483647"),
        (f"{10**30},1,4.0,100", "user id outside 1 to 2147483647"),
        ("1,-2,4.0,100", "movie id outside 1 to 2147483647"),
        ("1,4294967297,4.0,100", "movie id outside 1 to 2147483647"),
        ("2000000000,1,4.0,100", "user id from 2000000000 up is reserved for accounts created in the app"),
        ("1,99,4.0,100", "unknown movie: 99 is not in movies.csv"),
        ("1,1,7,100", "rating off the half-star grid 0.5 to 5.0"),
        ("1,1,0,100", "rating off the half-star grid 0.5 to 5.0"),
        ("1,1,5.5,100", "rating off the half-star grid 0.5 to 5.0"),
        ("1,1,3.7,100", "rating off the half-star grid 0.5 to 5.0"),
        ("1,1,4.0000001,100", "rating off the half-star grid 0.5 to 5.0"),
        ("1,1,1e999,100", "rating off the half-star grid 0.5 to 5.0"),
        ("1,1,-4.0,100", "rating off the half-star grid 0.5 to 5.0"),
        ("1,1,4.0,0", "impossible timestamp: 0 is not between 1970 and tomorrow in seconds"),
        ("1,1,4.0,-5", "impossible timestamp: -5 is not between 1970 and tomorrow in seconds"),
        (
            "1,1,4.0,1112486027000",
            "impossible timestamp: 1112486027000 is not between 1970 and tomorrow in seconds",
        ),
        ("1,1", "wrong number of fields: expected 4 fields, found 2"),
        ("1,1,4.0,100,x", "wrong number of fields: expected 4 fields, found 5"),
        ("1,1,4.0,100,", "wrong number of fields: expected 4 fields, found 5"),
        ('1,1,"4,0",100', "rating is not a number"),
        ('1,1,"4.0,100', "quotes that do not close or do not enclose the whole field"),
    ],
)
def test_a_bad_row_is_kept_with_line_text_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    assert only_reject(tmp_path, line) == reason


def test_a_truncated_last_line_is_a_reject(tmp_path: Path) -> None:
    ratings = read(tmp_path, HEADER + "\r\n1,1,4.0,100\r\n5,10")
    assert rows(ratings) == [(1, 1, 4.0, 100)]
    assert list(ratings.rejects.rows()) == [
        ("ratings.csv", 3, "5,10", "wrong number of fields: expected 4 fields, found 2")
    ]


@pytest.mark.parametrize("cut", range(1, 10))
def test_a_timestamp_that_was_cut_off_with_the_file_is_no_time_of_rating(tmp_path: Path, cut: int) -> None:
    whole = HEADER + "\n1,1,4.0,100\n2,2,5.0,1348555555"
    assert len(read(tmp_path, whole)) == 2
    ratings = read(tmp_path, whole[:-cut])
    assert rows(ratings) == [(1, 1, 4.0, 100)]
    ((_, line, text, reason),) = ratings.rejects.rows()
    assert (line, text) == (3, f"2,2,5.0,{whole[-10:-cut]}")
    assert reason.startswith("truncated last line: it has no line end, and its timestamp ")
    assert (ratings.rows_read, ratings.rows_complete) == (2, 2)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n ", "\n\n"])
def test_a_last_line_that_ends_may_be_as_old_as_any_other(tmp_path: Path, end: str) -> None:
    ratings = read(tmp_path, HEADER + "\n1,1,4.0,100\n2,2,5.0,134855" + end)
    assert rows(ratings) == [(1, 1, 4.0, 100), (2, 2, 5.0, 134855)]


def test_rows_complete_counts_rows_with_every_value_valid_or_not(tmp_path: Path) -> None:
    ratings = read(tmp_path, body("1,1,4.0,100", "1,2,9,100", "1,2,,100", "1,2", "1,99,4.0,5", "1,1,2.0,200"))
    assert (ratings.rows_read, ratings.rows_complete, len(ratings)) == (6, 4, 1)


def test_nul_and_undecodable_bytes_are_rejects_that_postgres_can_store(tmp_path: Path) -> None:
    ratings = read(tmp_path, body("1,1,4.0,100").encode() + b"1\x00,1,4.0,5\n\xff\xfe,1,4.0,5\n\x00\x00\n")
    assert ratings.rejects.text.to_list() == ["1,1,4.0,5", "\ufffd\ufffd,1,4.0,5", ""]
    assert ratings.rejects.line.tolist() == [3, 4, 5]


def test_a_lone_carriage_return_inside_a_row_loses_nothing(tmp_path: Path) -> None:
    ratings = read(tmp_path, body("1,1,4.0,100", "1,2,4.0,100\r1,3,4.0,100"))
    assert (len(ratings), len(ratings.rejects)) == (1, 1)


@pytest.mark.parametrize("bad", [2, 700, 1400])
def test_one_ragged_line_among_many_is_found_and_its_neighbours_load(tmp_path: Path, bad: int) -> None:
    lines = [f"{user},1,4.0,100" for user in range(1, 1500)]
    # The sum of the commas stays right: one line is short by one and another long by one.
    lines[bad], lines[bad - 1] = "5,1,4.0", "6,1,4.0,100,7"
    ratings = read(tmp_path, body(*lines))
    assert ratings.rejects.line.tolist() == [bad + 1, bad + 2]
    assert len(ratings) == len(lines) - 2


def test_a_quote_that_never_closes_spoils_one_line_only(tmp_path: Path) -> None:
    lines = [f"{user},1,4.0,100" for user in range(1, 1500)]
    lines[700] = '701,1,"4.0,100'
    ratings = read(tmp_path, body(*lines))
    assert (ratings.rejects.line.tolist(), len(ratings)) == ([702], len(lines) - 1)


def test_quoted_values_do_not_hide_a_bad_line_among_many(tmp_path: Path) -> None:
    lines = [f'"{user}","1","4.0","100"' for user in range(1, 1500)]
    lines[700:703] = ['"701","1","4.0,100"', '"702","1""","4.0","100"', '703",1,"4.0,100']
    ratings = read(tmp_path, body(*lines))
    assert (ratings.rejects.line.tolist(), len(ratings)) == ([702, 703, 704], len(lines) - 3)


def test_rejects_of_many_blocks_carry_their_own_text(tmp_path: Path) -> None:
    lines = [f"{user},{1 if user % 3 else 77},4.0,100" for user in range(1, 3000)]
    ratings = read(tmp_path, body(*lines), block_bytes=4096)
    assert ratings.rejects.text.to_list() == lines[2::3]
    assert ratings.rejects.line.tolist() == list(range(4, 3001, 3))
    assert ratings.rejects.by_reason() == {"unknown movie": 999}


# --- duplicates ----------------------------------------------------------------------------------------------


def test_of_two_ratings_of_a_movie_the_later_timestamp_wins(tmp_path: Path) -> None:
    ratings = read(tmp_path, body("1,1,4.0,300", "1,2,3.0,100", "1,1,2.0,200"))
    assert rows(ratings) == [(1, 1, 4.0, 300), (1, 2, 3.0, 100)]
    assert list(ratings.rejects.rows()) == [
        ("ratings.csv", 4, "1,1,2.0,200", "duplicate (user, movie) pair: line 2 wins")
    ]


def test_at_equal_timestamps_the_later_line_wins(tmp_path: Path) -> None:
    ratings = read(tmp_path, body("1,1,4.0,100", "1,1,2.0,100", "2,1,5.0,50", "1,1,3.0,100"))
    assert rows(ratings) == [(2, 1, 5.0, 50), (1, 1, 3.0, 100)]
    assert ratings.rejects.line.tolist() == [2, 3]
    assert ratings.rejects.reason == ["duplicate (user, movie) pair: line 5 wins"] * 2


def test_a_bad_row_never_wins_and_shifts_no_line_number(tmp_path: Path) -> None:
    ratings = read(tmp_path, body("", "1,1,4.0,100", "1,1,9.0,900", "bad", "2,2,1.0,7", "1,1,1.0,99"))
    assert rows(ratings) == [(1, 1, 4.0, 100), (2, 2, 1.0, 7)]
    assert dict(zip(ratings.rejects.line.tolist(), ratings.rejects.reason, strict=True)) == {
        4: "rating off the half-star grid 0.5 to 5.0",
        5: "wrong number of fields: expected 4 fields, found 1",
        7: "duplicate (user, movie) pair: line 3 wins",
    }


# --- ratings.csv that stops the load -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"ratings.csv: the file is empty \(0 bytes\).*first line must be userId"),
        (b" \r\n\n", r"ratings.csv: the file is empty \(blank lines only\)"),
        (b"\xef\xbb\xbf", r"the file is empty"),
        (HEADER.encode(), r"none of its 0 rows can be loaded.*1,2,3.5,1112486027"),
        (b"1,2,3.5,100\n1,3,4.0,100\n", r"ratings.csv, line 1: the header is missing.*found 1,2,3.5,100.*add it"),
        (b"userId,movieId,rating\n1,2,3.5\n", r"line 1: no column timestamp.*found userId,movieId,rating\."),
        (b"userId,movieId,rating,timestamp,rating\n", r"line 1: column rating appears twice"),
        (b"userId,movieId,rating,timestamp\r1,1,4.0,100\r", r"line 1: lines end in a bare carriage return.*Convert"),
        (HEADER.encode("utf-16"), r"line 1: not UTF-8 text"),
        (b"PK\x03\x04\x00\x00\x00", r"line 1: not UTF-8 text"),
        (b"\xe9,b\n", r"line 1: the header cannot be read"),
        (b"x" * 100_000, r"line 1: no line end in the first 65536 bytes"),
        (HEADER.encode() + b"\n" + b"1" * 70_000, r"line 2: no line end within 65,536 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_line_and_remedy(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, content)


def test_a_file_without_one_loadable_row_is_refused_with_counts_and_examples(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, body("1,99,4.0,100", "1,98,4.0,100", "1,1,7,100"))
    message = str(caught.value)
    assert "none of its 3 rows can be loaded. 2 unknown movie; 1 rating off the half-star grid" in message
    assert 'line 2 "1,99,4.0,100" (unknown movie: 99 is not in movies.csv)' in message
    assert str(tmp_path / "ratings.csv") in message


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    files = MovieLensFiles.at(dataset(tmp_path, body(*(f"{user},1,4.0,100" for user in range(1, 200)), "bad")))

    def append(done: int, total: int) -> None:
        with files.ratings.open("a") as out:
            out.write("1,2,4.0,100\n")

    with pytest.raises(DatasetError, match="changed while it was read"):
        read_ratings(files, KNOWN, now=NOW, progress=append)


# --- properties ----------------------------------------------------------------------------------------------

IDS = st.sampled_from(["1", "2", "3", "007", "+2", " 3", '"1"', "-1", "0", "99", "2000000000", "2147483648", "1.0"])
JUNK = st.sampled_from(["", "nan", "NULL", "x", "1_0", '"', '""', '"1', "\0", "\xe9", "9" * 25, "1 1", "\r"])
STARS = st.sampled_from(["4", "4.0", "0.5", " 3.5", "5.00", '"2.5"', "5.5", "0", "3.7", "1e0", "-1", "inf", ".5"])
TIMES = st.sampled_from(["1", "100", "100", "101", "1112486027000", "0", "1e3", "5.0", str(NOW)])
GOOD = st.builds("{},{},{},{}".format, *[st.sampled_from(["1", "2", "3"])] * 2, st.just("4.0"), TIMES)
MIXED = st.builds("{},{},{},{}".format, IDS | JUNK, IDS | JUNK, STARS | JUNK, TIMES | JUNK)
RAGGED = st.lists(IDS | STARS | JUNK, max_size=6).map(",".join)
FREE = st.text(st.sampled_from('019.,"-eE \t\r\0é'), max_size=20)
LINES = st.lists(GOOD | MIXED | RAGGED | FREE, min_size=1, max_size=25)


def reference(content: bytes) -> tuple[list[tuple[int, int, float, int]], set[int]]:
    """Read the slow and obvious way: accepted rows in file order, and the lines of rejected ones."""

    def value(text: str, allowed: str) -> Fraction:
        text = text.strip(" \t")
        if not text or set(text) - set(allowed):
            raise ValueError
        return Fraction(text)

    winner: dict[tuple[int, int], tuple[int, int, float]] = {}
    rejected: set[int] = set()
    lines = content.split(b"\n")
    for number, raw in enumerate(lines[1:], 2):
        text = raw.decode("utf-8", "replace").replace("\r", " ").strip(" \t")
        if not text:
            continue
        try:
            fields = next(csv.reader([text], skipinitialspace=True, strict=True))
            user, movie, seconds = (int(value(fields[index], "+-0123456789")) for index in (0, 1, 3))
            stars = value(fields[2], "+-.0123456789eE")
        except (ValueError, csv.Error, IndexError):
            rejected.add(number)
            continue
        good = (
            len(fields) == 4
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
@given(lines=LINES, positions=st.lists(st.integers(0, 400), min_size=25, max_size=25))
def test_the_typed_path_reads_every_line_as_the_definition_does(lines: list[str], positions: list[int]) -> None:
    spread = [f"{number},1,4.0,100" for number in range(400)]
    for line, position in zip(lines, positions, strict=False):
        spread.insert(position, line)
    data = "".join(line + "\n" for line in spread).encode()
    header = Header((0, 1, 2, 3), 4, 1)
    fast = parse_rows(data, len(spread), header)
    exact = [parse_line(line, header) for line in data.split(b"\n")[:-1]]
    columns = (fast.user_id, fast.movie_id, fast.rating, fast.rated_at, fast.code, fast.detail)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == exact


# --- movies --------------------------------------------------------------------------------------------------

MOVIES = '''movieId,title,genres
1,Toy Story (1995),Adventure|Animation|Children
11,"American President, The (1995)",Comedy|Drama
40697,Babylon 5,Sci-Fi
6,"""Great"" Film, ""The"" (1978) ",(no genres listed)
171749,Death Note: Desu nôto (2006\u20132007),(no genres listed)
'''


def movies_of(directory: Path, movies: str | bytes, links: str | None = None) -> MovieLensFiles:
    return MovieLensFiles.at(dataset(directory, body("1,1,4.0,100"), movies, links))


def test_titles_keep_commas_quotes_accents_and_spaces(tmp_path: Path) -> None:
    movies = read_movies(movies_of(tmp_path, MOVIES))
    assert movies.title == [
        "Toy Story (1995)",
        "American President, The (1995)",
        "Babylon 5",
        '"Great" Film, "The" (1978) ',
        "Death Note: Desu nôto (2006\u20132007)",
    ]
    assert movies.movie_id.tolist() == [1, 11, 40697, 6, 171749]
    assert movies.movie_id.dtype == np.int32
    assert movies.year == [1995, 1995, None, 1978, 2006]
    assert movies.genres == [["Adventure", "Animation", "Children"], ["Comedy", "Drama"], ["Sci-Fi"], [], []]
    assert (movies.imdb_id, movies.tmdb_id, len(movies.rejects)) == ([None] * 5, [None] * 5, 0)


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Heat (1995)", 1995),
        ("Heat (1995) ", 1995),
        ("Fawlty Towers (1975-1979)", 1975),
        ("Death Note (2006\u20132007)", 2006),
        ("White Collar (2009\u2013 )", 2009),
        ("Big Bang Theory, The (2007-)", 2007),
        ("City of Lost Children, The (Cité des enfants perdus, La) (1995)", 1995),
        ("2001: A Space Odyssey (1968)", 1968),
        ("1984 (Nineteen Eighty-Four)", None),
        ("Babylon 5", None),
        ("(500) Days of Summer", None),
        ("(1995) Heat", None),
    ],
)
def test_the_year_is_the_first_one_in_the_closing_parentheses(title: str, year: int | None) -> None:
    assert parse_year(title) == year


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
def test_movies_with_byte_order_mark_windows_line_ends_and_another_column_order(tmp_path: Path, prefix: bytes) -> None:
    text = prefix + '"genres","extra","title","movieId"\r\nDrama,x,"Été, L\' (2001)",5\r\n'.encode()
    movies = read_movies(movies_of(tmp_path, text))
    assert (movies.movie_id.tolist(), movies.title, movies.year) == ([5], ["Été, L' (2001)"], [2001])
    assert movies.genres == [["Drama"]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,Heat (1995),Drama", "movie id is not an integer"),
        ("1.0,Heat (1995),Drama", "movie id is not an integer"),
        (",Heat (1995),Drama", "missing movie id"),
        ("0,Heat (1995),Drama", "movie id outside 1 to 2147483647"),
        ("-3,Heat (1995),Drama", "movie id outside 1 to 2147483647"),
        ("2147483648,Heat (1995),Drama", "movie id outside 1 to 2147483647"),
        ("7, ,Drama", "missing title"),
        ("7,Heat", "wrong number of fields: expected 3 fields, found 2"),
        ("7,American President, The,Drama", "wrong number of fields: expected 3 fields, found 4"),
        ('7,"Heat (1995),Drama', "quotes that do not close or do not enclose the whole field"),
        ("7,He\0at,Drama", "NUL byte in the row"),
    ],
)
def test_a_bad_movie_row_is_kept_and_its_neighbours_load(tmp_path: Path, row: str, reason: str) -> None:
    movies = read_movies(movies_of(tmp_path, f"movieId,title,genres\n1,A (2000),\n{row}\n2,B (2001),Drama\n"))
    assert movies.movie_id.tolist() == [1, 2]
    assert list(movies.rejects.rows()) == [("movies.csv", 3, row.replace("\0", ""), reason)]


def test_of_two_rows_of_a_movie_the_later_one_wins(tmp_path: Path) -> None:
    movies = read_movies(movies_of(tmp_path, "movieId,title,genres\n1,Old,\n2,B,\n1,New,Drama\n"))
    assert (movies.movie_id.tolist(), movies.title) == ([2, 1], ["B", "New"])
    assert list(movies.rejects.rows()) == [("movies.csv", 2, "1,Old,", "duplicate movie id: line 4 wins")]


def test_links_give_ids_where_present(tmp_path: Path) -> None:
    links = (
        "movieId,imdbId,tmdbId\n1,0114709,862\n11,0112346,\n6,,77\n99,0000001,5\n40697,tt0105946,3137\n171749,x,1\n"
        "171749,0877057,-4\n"
    )
    movies = read_movies(movies_of(tmp_path, MOVIES, links))
    assert movies.imdb_id == ["tt0114709", "tt0112346", "tt0105946", None, None]
    assert movies.tmdb_id == [862, None, 3137, 77, None]
    assert [(row[1], row[3]) for row in movies.link_rejects.rows()] == [
        (5, "unknown movie: 99 is not in movies.csv"),
        (7, "IMDb id is not a number"),
        (8, "TMDB id is not an integer in 1 to 2147483647"),
    ]
    assert movies.link_rejects.file == "links.csv"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"movies.csv: the file is empty \(0 bytes\)"),
        (b"1,Toy Story (1995),Comedy\n", r"movies.csv, line 1: the header is missing.*movieId,title,genres"),
        (b"movieId,name\n1,x\n", r"line 1: no column title, genres\..*found movieId,name"),
        (b"movieId,title,genres\n", r"movies.csv: no movie can be loaded"),
        (b"movieId,title,genres\nx,Heat,\n", r'can be loaded\. 1 movie id is not an integer.*line 2 "x,Heat,"'),
        (
            b"movieId,title,genres\n1,A,\n2,Am\xe9lie,\n",
            r"movies.csv, line 3: byte 5 of the line \(0xe9\) is not UTF-8.*iconv",
        ),
    ],
)
def test_movies_that_cannot_be_read_are_refused_with_line_and_remedy(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_movies(movies_of(tmp_path, content))


def test_links_without_a_header_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"links.csv, line 1: the header is missing"):
        read_movies(movies_of(tmp_path, MOVIES, "1,0114709,862\n"))
