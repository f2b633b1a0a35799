"""A table of ratings reads back as the same blocks, whatever the format it is written in."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.ratings import read_ratings
from movierec_assets.datasets.sources.movielens_100k import GENRES
from movierec_assets.datasets.texts import text_of_lines
from movierec_tests.datasets.small_files import rows as rows_of
from movierec_tests.datasets.sources.written import (
    FORMATS,
    GENRES_OF,
    TITLES,
    Row,
    Written,
    movies_csv,
    opened,
    plain,
)

NOW = 1_700_000_000
PAIRS = st.tuples(st.integers(1, 1_000), st.sampled_from(list(TITLES)))
RATINGS = st.dictionaries(
    PAIRS, st.tuples(st.integers(1, 10), st.integers(788_918_400, NOW)), min_size=1, max_size=12
).map(lambda found: [(user, movie, half / 2, at) for (user, movie), (half, at) in found.items()])


@pytest.mark.parametrize("written", FORMATS, ids=lambda written: written.name)
@settings(max_examples=8)
@given(rows=RATINGS, times=st.sampled_from([1, 40]))
def test_a_table_reads_back_the_same_from_every_format(written: Written, rows: list[Row], times: int) -> None:
    # Many rows go through polars, few through the definition.
    rows = [(user + 1_000 * turn, movie, rating, at) for turn in range(times) for user, movie, rating, at in rows]
    if written.whole_stars:
        rows = [(user, movie, float(math.ceil(rating)), at) for user, movie, rating, at in rows]
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory, "data")
        data.mkdir()
        place = written.write(data, rows)
        files = opened(place, Path(directory, "cache"))
        movies = read_movies(files)
        ratings = read_ratings(files, movies.movie_id, now=NOW)
        assert len(ratings.rejects) == len(movies.rejects) == 0
        assert dict(zip(movies.movie_id.tolist(), movies.title, strict=True)) == TITLES
        assert dict(zip(movies.movie_id.tolist(), movies.genres, strict=True)) == GENRES_OF
        found = list(rows_of(ratings))
    assert found == rows


def test_times_without_a_zone_are_counted_and_those_with_one_are_not(tmp_path: Path) -> None:
    plain(tmp_path, [])
    times = ["2001-01-03 22:52:36", "2001-01-03T22:52:36Z", "2001-01-04 00:52:36 UTC", "2001-01-03", "978562356"]
    lines = [f"{user},1,4.0,{time}\n" for user, time in enumerate(times, 1)]
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(lines))
    ratings = read_ratings(opened(tmp_path, tmp_path), list(TITLES), now=NOW)
    assert (len(ratings), ratings.assumed_utc) == (5, 2)
    assert ratings.columns.rated_at.tolist() == [978562356, 978562356, 978569556, 978480000, 978562356]


def test_each_of_the_nineteen_flags_is_a_genre_and_the_file_of_names_counts(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t1\t3\t881250949\n")
    flags = ["|".join(str(int(flag == genre)) for flag in range(19)) for genre in range(19)]
    films = "".join(f"{number}|Film {number} (1990)|||x|{each}\n" for number, each in enumerate(flags, 1))
    (tmp_path / "u.item").write_text(films)
    assert read_movies(opened(tmp_path, tmp_path)).genres == [[genre] for genre in GENRES]
    (tmp_path / "u.genre").write_text("Zany|5\n\nbroken\nBeyond|77\n")
    files = opened(tmp_path, tmp_path)
    assert read_movies(files).genres[5] == ["Zany"]
    assert tmp_path / "u.genre" in files.catalogue


@pytest.mark.parametrize(
    ("name", "bad", "text"),
    [
        ("ratings.dat", "2::1::9::978562356", "2::1::9::978562356"),
        ("ratings.dat", "2:1:4:978562356", "2:1:4:978562356"),
        ("u.data", "2\t9\t4\t978562356", "2\t9\t4\t978562356"),
        ("ratings.csv", "2;1;4,3;978562356", "2;1;4,3;978562356"),
    ],
)
def test_a_row_that_does_not_load_keeps_its_line_and_text_and_the_name_of_its_file(
    tmp_path: Path, name: str, bad: str, text: str
) -> None:
    separator = {"ratings.dat": "::", "u.data": "\t", "ratings.csv": ";"}[name]
    lines = [separator.join((str(user), "1", "4", "978562356")) for user in (1, 3)]
    header = ["userId;movieId;rating;timestamp"] if name == "ratings.csv" else []
    (tmp_path / name).write_text("\n".join([*header, lines[0], bad, lines[1], ""]))
    (tmp_path / "movies.dat").write_text("1::A (1990)::Drama\n")
    (tmp_path / "u.item").write_text("1|A (1990)|||x|" + "|".join("0" * 19) + "\n")
    movies_csv(tmp_path)
    files = opened(tmp_path / name, tmp_path)
    ratings = read_ratings(files, [1], now=NOW)
    ((file, line, kept, reason),) = ratings.rejects.rows()
    assert (file, line, kept) == (name, 2 + len(header), text)
    assert ratings.columns.user_id.tolist() == [1, 3]
    assert reason.startswith(("rating off", "wrong number", f"unknown movie: 9 is not in {files.movie_file.name}"))
    assert text_of_lines(files.ratings, ratings.rejects.line).to_list() == [text]


def test_titles_are_latin_1_only_where_the_whole_file_is_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1::4::978562356\n")
    (tmp_path / "movies.dat").write_bytes("1::Straße (1990)::Drama\n2::Último\n".encode("latin-1"))
    movies = read_movies(opened(tmp_path, tmp_path))
    assert movies.title == ["Straße (1990)"]
    assert movies.rejects.text.to_list() == ["2::Último"]


@pytest.mark.parametrize("imdb", ["0110001", "110001", "110001.0", "tt0110001"])
@pytest.mark.parametrize("tmdb", ["862", "862.0", "8.62E2"])
def test_links_of_other_tools_keep_both_ids(tmp_path: Path, imdb: str, tmdb: str) -> None:
    plain(tmp_path, [])
    (tmp_path / "links.csv").write_text(f"movieId,imdbId,tmdbId\n1.0,{imdb},{tmdb}\n2,,\n")
    movies = read_movies(opened(tmp_path, tmp_path))
    assert (movies.imdb_id[0], movies.tmdb_id[0], len(movies.link_rejects)) == ("tt0110001", 862, 0)
    assert (movies.imdb_id[1], movies.tmdb_id[1]) == (None, None)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("userId^movieId^rating^timestamp", r"line 1: the columns are separated by '\^'\. Commas, semicolons, tabs"),
        ("user_id::movie_id::rating::timestamp", r"line 1: the columns are separated by '::'"),
        ("sep=;\nuserId,movieId,rating,timestamp", r"line 2: .*"),
        ("userId;movieId;rating", r"line 1: no column timestamp"),
    ],
)
def test_a_separator_that_cannot_be_read_is_named(tmp_path: Path, header: str, message: str) -> None:
    plain(tmp_path, [])
    (tmp_path / "ratings.csv").write_text(header + "\n1,1,4,978562356\n")
    with pytest.raises(DatasetError, match=message):
        read_ratings(opened(tmp_path, tmp_path), [1])


def test_an_empty_file_without_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_bytes(b"")
    (tmp_path / "u.item").write_text("1|A (1990)|||x|" + "|".join("0" * 19) + "\n")
    with pytest.raises(DatasetError, match=r"u\.data: the file is empty"):
        read_ratings(opened(tmp_path, tmp_path), [1])
