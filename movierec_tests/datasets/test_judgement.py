"""Which files fit, and the messages about those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.datasets.judgement import Limits
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.ratings import Ratings, check_ratings, read_ratings
from movierec_tests.datasets.small_files import HEADER, NOW, dataset

MOVIES = "movieId,title,genres\n" + "".join(f"{number},Film {number} (1999),Drama\n" for number in range(1, 41))


def judged(
    directory: Path, rows: list[str], limits: Limits | None = None, movies: str = MOVIES
) -> tuple[str | None, Ratings]:
    files = MovieLensFiles.at(dataset(directory, "\n".join([HEADER, *rows]) + "\n", movies))
    ratings = read_ratings(files, read_movies(files).movie_id, now=NOW, limits=limits)
    return ratings.misfit, ratings


def rows_of(stars: list[str], users: int = 12, each: int = 10, first_user: int = 1) -> list[str]:
    """Ratings of some users, one a day, with these stars in turn."""
    return [
        f"{first_user + user},{movie},{stars[(3 * user + movie) % len(stars)]},{1_000_000_000 + 86_400 * movie}"
        for user in range(users)
        for movie in range(1, each + 1)
    ]


GOOD = rows_of(["2", "3.5", "4", "5"])


@pytest.mark.parametrize(
    ("stars", "says"),
    [
        (["2", "4", "6", "8", "10"], "Ratings go up to 10: is this a 1 to 10 scale? Divide by two."),
        (["2.5", "4.1", "7.3", "9.9"], "is this a 1 to 10 scale? Divide by two and round to the nearest half."),
        (["4", "45", "70", "100"], "is this a 0 to 100 scale? Divide by twenty"),
        (["0", "1"], "Ratings are 0 and 1 only: are these thumbs up and down? Write 5 for a thumb up"),
        (["-1", "1"], "Ratings are -1 and 1 only: are these thumbs up and down?"),
        (["0.2", "0.75", "1"], "is this a 0 to 1 scale? Multiply by five"),
        (["1", "3.7", "4.2", "5"], "Ratings such as 3.7 lie between half stars: round to the nearest half."),
        (["0", "3", "4", "5"], "Ratings go down to 0: does 0 stand for no rating?"),
        (["250", "1995", "4"], "Is another column in the place of the rating?"),
    ],
)
def test_another_scale_is_named_with_the_remedy(tmp_path: Path, stars: list[str], says: str) -> None:
    misfit, ratings = judged(tmp_path, rows_of(stars))
    assert misfit is not None
    assert misfit.startswith(f"{tmp_path / 'ratings.csv'}: {len(ratings.rejects)} of 120 rows (")
    assert "rating off the half-star grid 0.5 to 5.0; first line " in misfit
    assert "\nLikely cause: Ratings " in misfit
    assert says in misfit
    assert "set MOVIEREC_MAX_REJECTED_SHARE=0." in misfit


def test_a_slip_at_the_top_does_not_hide_the_scale(tmp_path: Path) -> None:
    misfit, _ = judged(tmp_path, [*rows_of(["2", "4", "6", "8", "10"]), "1,40,88,1000000000"])
    assert "up to 10: is this a 1 to 10 scale" in str(misfit)


@pytest.mark.parametrize(
    ("stars", "says"),
    [
        (["1"], "All ratings are 1 or less: are these thumbs up?"),
        (["1", "2", "3"], "Is this a 1 to 3 scale?"),
    ],
)
def test_stars_none_of_which_is_a_like_are_refused_although_every_row_loads(
    tmp_path: Path, stars: list[str], says: str
) -> None:
    rows = rows_of(stars)
    misfit, ratings = judged(tmp_path, rows)
    assert len(ratings.rejects) == 0
    assert says in str(misfit)
    assert f"MOVIEREC_POSITIVE_THRESHOLD={stars[-1]}" in str(misfit)
    assert judged(tmp_path, rows, Limits(positive_threshold=float(stars[-1])))[0] is None
    assert judged(tmp_path, rows[:19])[0] is None, "so few ratings do not show the scale"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{n},1,4,1000000000", "user ids from 1,000,000,000 up belong to accounts of the app. Number the users"),
        ("{u},99{n},4,1000000000", "are the two files from one release?"),
        ("{u},{n},4,1000000000000", "are they milliseconds? Divide by 1,000."),
        ("{u},{n},,1000000000", "watched and not rated"),
        ("{u},{n},vier,1000000000", "are ratings words?"),
        ('"1,0{u}",{n},4,1000000000', "User ids are written with thousands separators, as in 1,050: export them"),
        ("1.0{u},{n},4,1000000000", "User ids are written with thousands separators, as in 1.050: export them"),
        ('{u},"1,0{u}",4,1000000000', "Movie ids are written with thousands separators, as in 1,050: export them"),
        ('{u},{n},4,"1,000,000,0{u}"', "Times are written with thousands separators, as in 1,000,000,050: export"),
        ("{u},{n},4,0", "All these times are 0, so they are missing. Nothing is earlier than anything"),
        ("Ann,{n},4,1000000000", "Are users given by name?"),
        ("{u},tt0114709,4,1000000000", "another site's id"),
        ("{u},{n},4", "a comma"),
    ],
)
def test_one_such_row_is_rejected_and_a_file_of_them_is_refused(tmp_path: Path, bad: str, says: str) -> None:
    def rows(count: int) -> list[str]:
        return [
            bad.format(u=50 + n, n=1_000_000_000 + n if bad.startswith("{n}") else n % 40 + 1) for n in range(count)
        ]

    misfit, ratings = judged(tmp_path, [*GOOD, *rows(1)])
    assert (misfit, len(ratings.rejects)) == (None, 1)
    misfit, _ = judged(tmp_path, [*GOOD, *rows(60)])
    assert "60 of 180 rows (33.3%) do not load; at most 10% may" in str(misfit)
    assert says.casefold() in str(misfit).casefold()
    assert "first line 122: " in str(misfit)
    assert judged(tmp_path, [*GOOD, *rows(60)], Limits(rejected_share=0.34))[0] is None


def test_superseded_rows_are_not_invalid(tmp_path: Path) -> None:
    misfit, ratings = judged(tmp_path, GOOD * 3)
    assert (misfit, len(ratings.rejects)) == (None, 2 * len(GOOD))


def test_one_bad_row_of_a_small_file_is_a_row_and_two_are_a_file(tmp_path: Path) -> None:
    assert judged(tmp_path, [*GOOD[:3], "bad"])[0] is None
    assert "2 of 5 rows (40.0%)" in str(judged(tmp_path, [*GOOD[:3], "bad", "worse"])[0])


@given(misfits=st.integers(0, 60), good=st.integers(1, 100), share=st.floats(0, 1))
def test_a_file_is_refused_exactly_when_more_rows_do_not_fit_than_may(
    tmp_path_factory: pytest.TempPathFactory, misfits: int, good: int, share: float
) -> None:
    rows = [*GOOD[:good], *["bad"] * misfits]
    misfit, _ = judged(tmp_path_factory.getbasetemp() / "share", rows, Limits(rejected_share=share, evaluated_users=1))
    assert (misfit is not None) == (misfits > max(1, share * len(rows)))


def test_ratings_at_one_time_are_refused_and_say_what_can_be_done(tmp_path: Path) -> None:
    rows = [row.rsplit(",", 1)[0] + ",1700000000" for row in GOOD]
    misfit, ratings = judged(tmp_path, rows)
    assert len(ratings.rejects) == 0
    for part in (
        "all ratings have one time, 1700000000 (2023-11-14 22:13:20 UTC)",
        "Nothing is earlier than anything",
        "Write a column timestamp with the time at which each rating was made",
        "write 1000000000 plus the number of the row",
        "strong-generalization",
        "MOVIEREC_ALLOW_UNORDERED=true",
    ):
        assert part in str(misfit)
    assert judged(tmp_path, rows, Limits(unordered=True))[0] is None


def test_a_file_without_times_but_zeros_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of its 120 rows can be loaded") as raised:
        judged(tmp_path, [row.rsplit(",", 1)[0] + ",0" for row in GOOD])
    message = str(raised.value)
    assert "Likely cause: All the times are 0, so they are missing. Nothing is earlier than anything" in message
    assert "Write a column timestamp" in message


def test_thousands_separators_in_the_ids_of_movies_are_named(tmp_path: Path) -> None:
    movies = MOVIES + "".join(f'"1,0{number}",Film (1999),Drama\n' for number in range(10, 40))
    files = MovieLensFiles.at(dataset(tmp_path, "\n".join([HEADER, *GOOD]) + "\n", movies))
    misfit = str(read_movies(files).misfit(files.movie_file, Limits()))
    assert "Movie ids are written with thousands separators, as in 1,010: export them without." in misfit


def test_a_time_for_each_user_is_no_order_either(tmp_path: Path) -> None:
    rows = [f"{row.rsplit(',', 1)[0]},{1_000_000_000 + int(row.split(',')[0])}" for row in GOOD]
    assert "all ratings of a user have one time, for each of the 12 users" in str(judged(tmp_path, rows)[0])
    some = [*rows[:-20], *GOOD[-20:]]
    assert "only 2 of the 12 users with more than 5 ratings" in str(judged(tmp_path, some)[0])
    assert judged(tmp_path, some, Limits(evaluated_users=2))[0] is None


def test_users_with_few_ratings_are_not_asked_for_different_times(tmp_path: Path) -> None:
    rows = [f"{user},{movie},4,1000000000" for user in range(1, 30) for movie in range(1, 6)]
    assert judged(tmp_path, rows)[0] is None


def test_movies_that_broke_are_at_fault_and_not_the_ratings_of_them(tmp_path: Path) -> None:
    lines = MOVIES.splitlines()
    # Titles with a comma and no quotes: few rows, and most of the ratings.
    broken = "\n".join([lines[0], "1,Film, 1 (1999),Drama", "2,Film, 2 (1999),Drama", *lines[3:]]) + "\n"
    files = MovieLensFiles.at(dataset(tmp_path, "\n".join([HEADER, *rows_of(["3", "4"], each=6)]) + "\n", broken))
    movies = read_movies(files)
    assert movies.misfit(files.movie_file, Limits()) is None
    with pytest.raises(ValueError, match="do not load") as raised:
        check_ratings(files, movies.movie_id, limits=Limits(), lost=movies.rejects.text)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'movies.csv'}: 2 rows do not load, and 24 of 72 ratings in ratings.csv")
    assert "The first: 1,Film, 1 (1999),Drama\nLikely cause: Do titles hold commas, quotes or line breaks?" in message
    worse = "\n".join([lines[0], *(line.replace("Film", "Film, the") for line in lines[1:7]), *lines[7:]]) + "\n"
    files.movies.write_text(worse)
    assert "movies.csv: 6 of 40 rows (15.0%) do not load" in str(read_movies(files).misfit(files.movie_file, Limits()))


def test_a_large_file_is_judged_by_its_beginning_before_movies_are_replaced(tmp_path: Path) -> None:
    files = MovieLensFiles.at(dataset(tmp_path, "\n".join([HEADER, *rows_of(["8", "10", "4"]), *GOOD]) + "\n", MOVIES))
    known = read_movies(files).movie_id
    with pytest.raises(ValueError, match="1 to 10 scale"):
        check_ratings(files, known, limits=Limits(), block_bytes=500, checked_bytes=400)
    files.ratings.write_text("\n".join([HEADER, *GOOD, *rows_of(["8", "10", "4"])]) + "\n")
    check_ratings(files, known, limits=Limits(), block_bytes=500, checked_bytes=400)  # the load sees it


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_break_in_a_quoted_title_is_a_space(tmp_path: Path, end: str) -> None:
    text = f'movieId,title,genres{end}1,"City of{end}  Lost Children, The (1995)",Drama{end}2,"A ""B""{end}{end}'
    text += f'2, The (2001)",(no genres listed){end}3,C (2002),Drama{end}'
    files = MovieLensFiles.at(dataset(tmp_path, HEADER + "\n", text))
    movies = read_movies(files)
    assert movies.title == ["City of Lost Children, The (1995)", 'A "B" 2, The (2001)', "C (2002)"]
    assert (movies.movie_id.tolist(), movies.year, len(movies.rejects)) == ([1, 2, 3], [1995, 2001, 2002], 0)


@pytest.mark.parametrize(
    "bad",
    ['7,"Heat (1995),Drama', '7,"Heat "(1995)",Drama', '7,"Heat (1995)"",Drama', '7,"Heat', '7,He"at (1995),"Drama'],
)
@pytest.mark.parametrize("behind", [["8,B (2001),Drama"], ['8,"B, the ""other"" (2001)",Drama', "9,C (2002),"]])
def test_one_quote_too_many_spoils_one_line_and_not_the_rest(tmp_path: Path, bad: str, behind: list[str]) -> None:
    text = "\n".join(["movieId,title,genres", "1,A (2000),", bad, *behind]) + "\n"
    movies = read_movies(MovieLensFiles.at(dataset(tmp_path, HEADER + "\n", text)))
    assert movies.movie_id.tolist() == [1, 8, 9][: 1 + len(behind)]
    assert [(line, text) for _, line, text, _ in movies.rejects.rows()] == [(3, bad)]
