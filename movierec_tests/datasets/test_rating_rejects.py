"""Rows of ratings.csv that do not load: each is kept, with its line, text and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_tests.datasets.small_files import HEADER, body, only_reject, read, rows


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
        ("12.5,1,4.0,100", "user id is not an integer"),
        ("1.000,1,4.0,100", "user id is not an integer"),
        ("1e999,1,4.0,100", "user id outside 1 to 2147483647"),
        ("1_0,1,4.0,100", "user id is not an integer"),
        ("1,one,4.0,100", "movie id is not an integer"),
        ("1,1,good,100", "rating is not a number"),
        ("1,1,inf,100", "rating is not a number"),
        ("1,1,4.0,2015-02-31", "timestamp is neither a whole number of seconds nor an ISO 8601 time"),
        ("1,1,4.0,31.03.2015", "timestamp is neither a whole number of seconds nor an ISO 8601 time"),
        ("1,1,4.0,100.5", "timestamp is neither a whole number of seconds nor an ISO 8601 time"),
        ("1,1,4.0,1969-12-31 23:59:59", "impossible timestamp: -1 is not between 1970 and tomorrow in seconds"),
        ("0,1,4.0,100", "user id outside 1 to 2147483647"),
        ("-1,1,4.0,100", "user id outside 1 to 2147483647"),
        ("2147483648,1,4.0,100", "user id outside 1 to 2147483647"),
        (f"{10**30},1,4.0,100", "user id outside 1 to 2147483647"),
        ("1,-2,4.0,100", "movie id outside 1 to 2147483647"),
        ("1,4294967297,4.0,100", "movie id outside 1 to 2147483647"),
        ("1000000000,1,4.0,100", "user id from 1000000000 up is reserved for accounts created in the app"),
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
        ('1,1,"4,0,1",100', "rating is not a number"),
        ('"1,0",1,4.0,100', "user id is not an integer"),
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
    assert reason.startswith("truncated last line: it has no line end, and its time ")
    assert (ratings.rows_read, ratings.rows_complete) == (2, 2)


@pytest.mark.parametrize(
    ("before", "last", "loads"),
    [
        ("2012-09-25 06:45:55", "2012-09-25 06:45:56", True),
        ("2012-09-25 06:45:55", "2012-09-25 06:45", False),
        ("2012-09-25 06:45:55", "2012-09-25", False),
        ("2012-09-25", "2012-09-26", True),
        ("2012-09-25T06:45:55+02:00", "2012-09-25T06:45:56", False),
        ("2012-09-25T06:45:55.123", "2012-09-25T06:45:55.1", True),
    ],
)
def test_a_date_that_was_cut_off_with_the_file_is_no_time_of_rating(
    tmp_path: Path, before: str, last: str, loads: bool
) -> None:
    ratings = read(tmp_path, f"{HEADER}\n1,1,4.0,{before}\n2,2,5.0,{last}")
    assert ratings.columns.user_id.tolist() == [1, 2] if loads else [1]
    assert [reason.partition(":")[0] for reason in ratings.rejects.reason] == ([] if loads else ["truncated last line"])


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
