"""movies.csv and links.csv: rows that load, rows that are rejected with their reason, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.movies import parse_year, read_movies
from movierec_tests.datasets.small_files import body, dataset

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
        ("1.5,Heat (1995),Drama", "movie id is not an integer"),
        ("1.000,Heat (1995),Drama", "movie id is not an integer"),
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


def test_ids_with_decimal_commas_are_those_with_decimal_points(tmp_path: Path) -> None:
    links = "movieId;imdbId;tmdbId\n1,0;114709,0;862,0\n11,0;112346,0;801,5\n"
    movies = read_movies(movies_of(tmp_path, "movieId;title;genres\n1,0;A, B;Drama\n11,0;C;Drama\n", links))
    assert (movies.movie_id.tolist(), movies.title) == ([1, 11], ["A, B", "C"])
    assert (movies.imdb_id, movies.tmdb_id) == (["tt0114709", None], [862, None])
    assert movies.link_rejects.by_reason() == {"TMDB id is not an integer in 1 to 2147483647": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"movies.csv: the file is empty \(0 bytes\)"),
        (b"1,Toy Story (1995),Comedy\n", r"movies.csv, line 1: the header is missing.*movieId,title,genres"),
        (b"movieId,name\n1,x\n", r"line 1: no column title, genres\..*found movieId,name"),
        (b"movieId,title,genres\n", r"movies.csv: no movie can be loaded"),
        (b"movieId,title,genres\nx,Heat,\n", r"can be loaded\.\n1 row: movie id is not an integer; line 2: x,Heat,"),
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
