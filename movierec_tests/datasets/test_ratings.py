"""ratings.csv: rows that load, which of two ratings counts, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.ratings import read_ratings
from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_tests.datasets.small_files import HEADER, KNOWN, NOW, body, dataset, read, rows


def test_rows_load_typed_and_in_file_order(tmp_path: Path) -> None:
    ratings = read(tmp_path, body("7,3,0.5,1", "7,1,5.0,1112486027", "2,2,3.5,1112484676"))
    assert rows(ratings) == [(7, 3, 0.5, 1), (7, 1, 5.0, 1112486027), (2, 2, 3.5, 1112484676)]
    dtypes = [column.dtype for column in vars(ratings.columns).values()]
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
        (HEADER.encode(), r"(?s)none of its 0 rows can be loaded.*header only.*1,2,3.5,1112486027"),
        (b"1,2,3.5,100\n1,3,4.0,100\n", r"ratings.csv, line 1: the header is missing.*found 1,2,3.5,100.*add it"),
        (
            b"userId,movieId,rating\n1,2,3.5\n",
            r"line 1: no column timestamp, found userId,movieId,rating\. Nothing is earlier",
        ),
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
    assert "none of its 3 rows can be loaded.\n2 rows: unknown movie; first line 2: 1,99,4.0,100\n" in message
    assert (
        "1 row: rating off the half-star grid 0.5 to 5.0; line 4: 1,1,7,100\nLikely cause: The file of movies"
        in message
    )
    assert str(tmp_path / "ratings.csv") in message


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    files = MovieLensFiles.at(dataset(tmp_path, body(*(f"{user},1,4.0,100" for user in range(1, 200)), "bad")))

    def append(done: int, total: int) -> None:
        with files.ratings.open("a") as out:
            out.write("1,2,4.0,100\n")

    with pytest.raises(DatasetError, match="changed while it was read"):
        read_ratings(files, KNOWN, now=NOW, progress=append)
