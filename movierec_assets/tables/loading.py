"""Files of a dataset into tables, in one transaction each, and only when they changed.

Belongs here: which file fills which table, and when it need not. Reading and validating rows is in `datasets`, the
swap in `database`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.judgement import Limits
from movierec_assets.datasets.layout import combined_hash, file_digests
from movierec_assets.datasets.movielens import (
    MovieLensFiles,
    Progress,
    Rejects,
    check_ratings,
    content_hash,
    read_movies,
)
from movierec_assets.progress import Log
from movierec_assets.settings import Settings, get_settings
from movierec_assets.sql import read_sql
from movierec_assets.tables.app_ratings import update_rejects
from movierec_assets.tables.database import SCHEMA, Database, Load, copy_rows, record_load
from movierec_assets.tables.known_datasets import recognize_loaded
from movierec_assets.tables.rating_load import NOTHING_REPLACED, Judge, append, load_all, may_append, state_of

LOADER_VERSION = "4"
"""Raised when the same files would give other rows."""


@dataclass(frozen=True)
class Loaded:
    """How a table stands after loading.

    Attributes
    ----------
    content_hash : str
        SHA-256 of the files.
    reloaded : bool
        False when the table already held exactly this.
    details : dict
        `rows`, `rejected` (by reason) and other counts.
    appended : int or None
        New rows of the file that loaded, where it had only grown; rejected ones do not count.
    movies : Loaded or None
        The movies, where they were loaded first because the table did not hold those of the dataset.
    """

    content_hash: str
    reloaded: bool
    details: dict[str, Any]
    appended: int | None = None
    movies: Loaded | None = None


def limits_of(settings: Settings) -> Limits:
    """What files must keep to."""
    return Limits(
        settings.max_rejected_share,
        settings.positive_threshold,
        settings.min_evaluated_users,
        settings.allow_unordered,
    )


def is_loaded(database: Database, files: MovieLensFiles) -> bool:
    """Whether the tables hold exactly what is in these files."""
    movies, ratings = database.last_load("movies"), database.last_load("ratings")
    return (
        movies is not None
        and ratings is not None
        and movies.version == _movies_version(files)[1]
        and ratings.version == _ratings_version(files, movies)[1]
    )


def _movies_version(files: MovieLensFiles) -> tuple[str, str]:
    digest = content_hash(*files.catalogue)
    return digest, f"{LOADER_VERSION}:{digest}"


def _ratings_version(files: MovieLensFiles, movies: Load | None) -> tuple[str, str]:
    digest = content_hash(files.ratings)
    return digest, _version_of_ratings(digest, movies)


def _version_of_ratings(digest: str, movies: Load | None) -> str:
    # Other movies make other ratings unknown.
    return f"{LOADER_VERSION}:{digest}:{movies.version if movies else 'no movies'}"


def load_movies(database: Database, files: MovieLensFiles, progress: Progress | None = None) -> Loaded:
    """Fill `movies` from the files of movies and of their ids elsewhere.

    Ratings of the dataset that are not loaded yet are validated first: they are loaded after the movies, in a
    transaction of their own, and a dataset without usable ratings must not leave its movies to the ratings of another.

    Parameters
    ----------
    database : Database
    files : MovieLensFiles
    progress : callable, optional
        Called with bytes validated and bytes in all of the file of ratings.

    Raises
    ------
    DatasetError
        When the files cannot be read as movies and ratings of them, or too much in them does not fit; the tables stay
        as they were.
    """
    digest, version = _movies_version(files)
    recognize_loaded(database)  # while the movies they belong to are still there
    last = database.last_load("movies")
    if last is not None and last.version == version:
        return Loaded(digest, False, last.details)
    limits = limits_of(get_settings())
    movies = read_movies(files)
    if (misfit := movies.misfit(files.movie_file, limits)) is not None:
        raise DatasetError(f"{misfit}\n{NOTHING_REPLACED}")
    details = {
        "rows": len(movies),
        "rejected": movies.rejects.by_reason() | movies.link_rejects.by_reason(),
        "names": [movies.rejects.file, movies.link_rejects.file],
        "with_year": sum(year is not None for year in movies.year),
        "with_imdb_id": sum(imdb_id is not None for imdb_id in movies.imdb_id),
    }
    load = Load(version, str(files.source), details)
    ratings = database.last_load("ratings")
    if ratings is None or ratings.version != _ratings_version(files, load)[1]:
        try:
            check_ratings(files, movies.movie_id, progress=progress, limits=limits, lost=movies.rejects.text)
        except DatasetError as error:
            raise DatasetError(f"{error}\n{NOTHING_REPLACED}") from None
    with database.replace("movies") as table:
        table.write_rows(
            ("movie_id", "title", "year", "genres", "imdb_id", "tmdb_id"),
            zip(
                movies.movie_id.tolist(),
                movies.title,
                movies.year,
                movies.genres,
                movies.imdb_id,
                movies.tmdb_id,
                strict=True,
            ),
        )
        for rejects, before in zip((movies.rejects, movies.link_rejects), _files_of_movies(last), strict=True):
            _replace_rejects(table.cursor, before, rejects)
        record_load(table.cursor, "movies", load)
    return Loaded(digest, True, details)


def load_ratings(
    database: Database, files: MovieLensFiles, progress: Progress | None = None, log: Log = lambda _: None
) -> Loaded:
    """Fill `ratings` from the file of ratings; rows that do not load go to `rejected_ratings`.

    Where `movies` does not hold the movies of the dataset as they are now, they are loaded first: a movie that is new
    in both files is a known one.

    A file that only grew since it was loaded is not loaded again: its new lines are merged, with the same outcome.
    Ratings of the app whose movies are not in the catalogue are rejected as well.

    Parameters
    ----------
    database : Database
    files : MovieLensFiles
    progress : callable, optional
        Called with bytes read and bytes in all, from another thread.
    log : callable, optional
        Called with what is being done when nothing is read.

    Raises
    ------
    DatasetError
        When the file cannot be read as ratings, or too much in it does not fit; the table stays as it was.
    """
    recognize_loaded(database)
    before_ratings = load_movies(database, files, progress)
    movies, last = database.last_load("movies"), database.last_load("ratings")
    state = state_of(last)
    log(f"Comparing {files.rating_file.name} with what was loaded")
    first, whole, length = file_digests(files.ratings, state.bytes if state else 0)
    digest = combined_hash(whole)
    version = _version_of_ratings(digest, movies)
    if last is not None and last.version == version:
        return Loaded(digest, False, last.details, movies=_if_new(before_ratings))
    known = database.columns(f"SELECT movie_id FROM {SCHEMA}.movies", {"movie_id": "integer"})["movie_id"]

    def load(details: dict[str, Any]) -> Load:
        return Load(version, str(files.source), details)

    details, appended, since = None, None, 0
    if state is not None and first is not None and first.hex() == state.sha256:
        since = state.lines
    judge = Judge(files, limits_of(get_settings()), _rejected_texts(database, files.movie_file.name))
    before = None if first is None else _version_of_ratings(combined_hash(first), movies)
    if last is not None and state is not None and last.version == before and may_append(files, last, length):
        merged = append(database, files, known, last, load, whole, length, progress, log, judge)
        if merged is not None:
            details, appended = merged
    if details is None:
        details = load_all(database, files, known, last, load, whole, length, progress, log, judge, since)
    update_rejects(database)
    return Loaded(digest, True, details, appended, _if_new(before_ratings))


def _if_new(movies: Loaded) -> Loaded | None:
    return movies if movies.reloaded else None


def _rejected_texts(database: Database, file: str) -> list[str]:
    query = f"""SELECT raw_text FROM {SCHEMA}.rejected_ratings
                WHERE file = %s AND reason NOT LIKE 'duplicate%%' ORDER BY line"""
    return [text for (text,) in database.rows(query, [file])]


def _files_of_movies(last: Load | None) -> tuple[str, str]:
    """Names under which rejects of the movies and of the links are kept."""
    movies, links = (last.details.get("names") if last else None) or ("movies.csv", "links.csv")
    return movies, links


def _replace_rejects(cursor: Cursor, before: str, rejects: Rejects) -> None:
    cursor.execute(f"DELETE FROM {SCHEMA}.rejected_ratings WHERE file IN (%s, %s)", [before, rejects.file])
    copy_rows(cursor, "rejected_ratings", ("file", "line", "raw_text", "reason"), rejects.rows())


def rejected_examples(database: Database, file: str, limit: int = 10) -> Iterator[tuple[int, str, str]]:
    """First rejected rows of a file: line, reason, text."""
    yield from database.rows(
        f"SELECT line, reason, raw_text FROM {SCHEMA}.rejected_ratings WHERE file = %s ORDER BY line LIMIT %s",
        [file, limit],
    )


@dataclass(frozen=True)
class Rejected:
    """Rows of a file that did not load for one reason.

    Attributes
    ----------
    file : str
    reason : str
        Without what is said about single rows.
    rows : int
    line : int
        Of the first of them.
    text : str
        That line.
    """

    file: str
    reason: str
    rows: int
    line: int
    text: str


def rejected_by_reason(database: Database) -> list[Rejected]:
    """Rows of the dataset's files that did not load: for each file the most frequent reason first."""
    return [Rejected(*row) for row in database.rows(read_sql("rejected_by_reason"))]
