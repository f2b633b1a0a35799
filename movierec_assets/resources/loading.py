"""Files of a dataset into tables, in one transaction each, and only when they changed.

Belongs here: which file fills which table, and when it need not. Reading and validating rows is in `datasets`, the
swap in `database`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.datasets.movielens import (
    MovieLensFiles,
    Progress,
    Rejects,
    content_hash,
    read_movies,
    read_ratings,
)
from movierec_assets.resources.database import SCHEMA, Database, Load, copy_rows, record_load
from movierec_assets.resources.histories import RATING_COLUMNS

LOADER_VERSION = "2"
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
    """

    content_hash: str
    reloaded: bool
    details: dict[str, Any]


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
    digest = content_hash(files.movies, *([files.links] if files.links else []))
    return digest, f"{LOADER_VERSION}:{digest}"


def _ratings_version(files: MovieLensFiles, movies: Load | None) -> tuple[str, str]:
    digest = content_hash(files.ratings)
    # Other movies make other ratings unknown.
    return digest, f"{LOADER_VERSION}:{digest}:{movies.version if movies else 'no movies'}"


def load_movies(database: Database, files: MovieLensFiles, progress: Progress | None = None) -> Loaded:
    """Fill `movies` from movies.csv and links.csv.

    Ratings of the dataset that are not loaded yet are validated first: they are loaded after the movies, in a
    transaction of their own, and a dataset without usable ratings must not leave its movies to the ratings of another.

    Parameters
    ----------
    database : Database
    files : MovieLensFiles
    progress : callable, optional
        Called with bytes validated and bytes in all of ratings.csv.

    Raises
    ------
    DatasetError
        When the files cannot be read as movies and ratings of them; the tables stay as they were.
    """
    digest, version = _movies_version(files)
    last = database.last_load("movies")
    if last is not None and last.version == version:
        return Loaded(digest, False, last.details)
    movies = read_movies(files)
    details = {
        "rows": len(movies),
        "rejected": movies.rejects.by_reason() | movies.link_rejects.by_reason(),
        "with_year": sum(year is not None for year in movies.year),
        "with_imdb_id": sum(imdb_id is not None for imdb_id in movies.imdb_id),
    }
    load = Load(version, str(files.directory), details)
    ratings = database.last_load("ratings")
    if ratings is None or ratings.version != _ratings_version(files, load)[1]:
        read_ratings(files, movies.movie_id, progress=progress)  # for its errors
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
        for name, rejects in (("movies.csv", movies.rejects), ("links.csv", movies.link_rejects)):
            _replace_rejects(table.cursor, name, rejects)
        record_load(table.cursor, "movies", load)
    return Loaded(digest, True, details)


def load_ratings(database: Database, files: MovieLensFiles, progress: Progress | None = None) -> Loaded:
    """Fill `ratings` from ratings.csv; rows that do not load go to `rejected_ratings`.

    Parameters
    ----------
    database : Database
        With `movies` loaded: a rating of a movie it does not hold is rejected.
    files : MovieLensFiles
    progress : callable, optional
        Called with bytes read and bytes in all.

    Raises
    ------
    DatasetError
        When the file cannot be read as ratings, or not one row of it loads; the tables stay as they were.
    """
    digest, version = _ratings_version(files, database.last_load("movies"))
    last = database.last_load("ratings")
    if last is not None and last.version == version:
        return Loaded(digest, False, last.details)
    known = database.columns(f"SELECT movie_id FROM {SCHEMA}.movies", {"movie_id": "integer"})["movie_id"]
    ratings = read_ratings(files, known, progress=progress)
    details = {
        "rows": len(ratings),
        "rows_read": ratings.rows_read,
        "rows_complete": ratings.rows_complete,
        "rejected": ratings.rejects.by_reason(),
    }
    with database.replace("ratings") as table:
        table.write({name: getattr(ratings, name) for name in RATING_COLUMNS}, RATING_COLUMNS)
        _replace_rejects(table.cursor, "ratings.csv", ratings.rejects)
        record_load(table.cursor, "ratings", Load(version, str(files.directory), details))
    return Loaded(digest, True, details)


def _replace_rejects(cursor: Cursor, file: str, rejects: Rejects) -> None:
    cursor.execute(f"DELETE FROM {SCHEMA}.rejected_ratings WHERE file = %s", [file])
    copy_rows(cursor, "rejected_ratings", ("file", "line", "raw_text", "reason"), rejects.rows())


def rejected_examples(database: Database, file: str, limit: int = 10) -> Iterator[tuple[int, str, str]]:
    """First rejected rows of a file: line, reason, text."""
    yield from database.rows(
        f"SELECT line, reason, raw_text FROM {SCHEMA}.rejected_ratings WHERE file = %s ORDER BY line LIMIT %s",
        [file, limit],
    )
