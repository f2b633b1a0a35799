"""Files of a dataset into tables, in one transaction each, and only when they changed.

Belongs here: which file fills which table, and whether it must be loaded. Does not: reading and validating rows
(`datasets`), writing ratings (`rating_load`, `rating_append`), replacing a table (`database`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import size_of
from movierec_assets.datasets.judgement import Limits
from movierec_assets.datasets.layout import MovieLensFiles, combined_hash, content_hash, digest_of
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.ratings import check_ratings
from movierec_assets.progress import Log, Progress
from movierec_assets.settings import Settings, get_settings
from movierec_assets.sql import read_sql
from movierec_assets.tables.app_ratings import update_rejects
from movierec_assets.tables.database import SCHEMA, Database, Load, record_load
from movierec_assets.tables.known_datasets import recognize_loaded
from movierec_assets.tables.rating_append import append, may_append
from movierec_assets.tables.rating_load import NOTHING_REPLACED, FileState, RatingLoad, load_all, replace_rejects

LOADER_VERSION = "4"
"""Increase it when the same files would give other rows."""


@dataclass(frozen=True)
class Loaded:
    """The state of a table after loading.

    Attributes
    ----------
    content_hash : str
        SHA-256 of the files.
    reloaded : bool
        False when the table held the same content already.
    details : dict
        `rows`, `rejected` (by reason) and other counts.
    appended : int or None
        New rows that loaded, without rejected ones, where the file had only grown.
    movies : Loaded or None
        The movies, where they had changed and were loaded first.
    """

    content_hash: str
    reloaded: bool
    details: dict[str, Any]
    appended: int | None = None
    movies: Loaded | None = None


def as_loaded(database: Database, table: str) -> Loaded:
    """The state of a table that was loaded before and stays as it is."""
    load = database.last_load(table)
    if load is None:
        raise DatasetError(f"Nothing was loaded into {table} yet. Put the dataset into data/, or choose one.")
    return Loaded(load.version.split(":")[1], False, load.details)


def limits_of(settings: Settings) -> Limits:
    """Limits that files must keep, from the settings."""
    return Limits(
        settings.max_rejected_share,
        settings.positive_threshold,
        settings.min_evaluated_users,
        settings.allow_unordered,
    )


def is_loaded(database: Database, files: MovieLensFiles) -> bool:
    """Whether the tables hold exactly the content of these files."""
    movies, ratings = database.last_load("movies"), database.last_load("ratings")
    return movies is not None and movies.version == _movies_version(files)[1] and _holds(ratings, files, movies)


def _movies_version(files: MovieLensFiles) -> tuple[str, str]:
    digest = content_hash(*files.catalogue)
    return digest, f"{LOADER_VERSION}:{digest}"


def _ratings_version(digest: str, movies: Load | None) -> str:
    # Other movies make other ratings unknown.
    return f"{LOADER_VERSION}:{digest}:{movies.version if movies else 'no movies'}"


def _holds(ratings: Load | None, files: MovieLensFiles, movies: Load) -> bool:
    """Whether a load is of these ratings, validated against these movies."""
    if ratings is None or not _is_size_of(ratings, size_of(files.ratings)) or not _same_movies(ratings, movies):
        return False
    return ratings.version == _ratings_version(content_hash(files.ratings), movies)


def _is_size_of(ratings: Load, size: int) -> bool:
    """Whether a file of this size may be the loaded one; a file of another size need not be read."""
    state = FileState.of(ratings)
    return state is None or state.bytes == size


def _same_movies(ratings: Load, movies: Load | None) -> bool:
    """Whether ratings were loaded by this loader and validated against these movies."""
    before, after = _ratings_version("*", movies).split("*")
    return ratings.version.startswith(before) and ratings.version.endswith(after)


def load_movies(database: Database, files: MovieLensFiles, progress: Progress | None = None) -> Loaded:
    """Fill `movies` from the files of movies and of their ids elsewhere.

    Ratings of the dataset that are not loaded yet are checked first. They are loaded after the movies, in their own
    transaction: without the check, a dataset of bad ratings would leave its movies beside the ratings of another one.

    Parameters
    ----------
    database : Database
    files : MovieLensFiles
    progress : callable, optional
        Called with bytes checked and bytes in all of the file of ratings.

    Raises
    ------
    DatasetError
        When the files cannot be read as movies and ratings of them, or too much in them does not fit; the tables stay
        as they were.
    """
    digest, version = _movies_version(files)
    recognize_loaded(database)  # needs the movies that the loaded ratings belong to
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
    if not _holds(ratings, files, load):
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
            replace_rejects(table.cursor, before, rejects)
        record_load(table.cursor, "movies", load)
    return Loaded(digest, True, details)


def load_ratings(
    database: Database, files: MovieLensFiles, progress: Progress | None = None, log: Log = lambda _: None
) -> Loaded:
    """Fill `ratings` from the file of ratings; rows that do not load go to `rejected_ratings`.

    Movies that changed are loaded first, so that a movie that is new in both files is known. Of a file that only grew
    since it was loaded, the new rows are merged, with the same outcome. Ratings of the app whose movies are not in the
    catalogue are rejected as well.

    A new file is read once, its digest included, and its beginning twice, for the check in `load_movies`.

    Parameters
    ----------
    database : Database
    files : MovieLensFiles
    progress : callable, optional
        Called with bytes read and bytes in all, from another thread.
    log : callable, optional
        Called with a line for each step that reads nothing.

    Raises
    ------
    DatasetError
        When the file cannot be read as ratings, or too much in it does not fit; the table stays as it was.
    """
    recognize_loaded(database)
    before_ratings = load_movies(database, files, progress)
    reloaded_movies = before_ratings if before_ratings.reloaded else None
    movies, last = database.last_load("movies"), database.last_load("ratings")
    digest = None
    if last is not None and _may_be_known(last, files, movies):
        log(f"Comparing {files.rating_file.name} with what was loaded")
        state = FileState.of(last)
        digest = digest_of(files.ratings, state.bytes if state else 0)
        if last.version == _ratings_version(whole := combined_hash(digest.digest()), movies):
            return Loaded(whole, False, last.details, movies=reloaded_movies)

    def to_record(details: dict[str, Any]) -> Load:
        return Load(_ratings_version(_content_hash_of(details), movies), str(files.source), details)

    load = RatingLoad(
        database,
        files,
        movie_ids=database.columns(f"SELECT movie_id FROM {SCHEMA}.movies", {"movie_id": "integer"})["movie_id"],
        last=last,
        to_record=to_record,
        limits=limits_of(get_settings()),
        rejected_movies=_rejected_texts(database, files.movie_file.name),
        progress=progress,
        log=log,
    )
    merged = None
    if last is not None and digest is not None and digest.of_prefix is not None:
        has_grown = last.version == _ratings_version(combined_hash(digest.of_prefix), movies)
        if has_grown and may_append(files, last, digest.length):
            merged = append(load, last, digest)
    details, appended = merged or (load_all(load, digest.digest() if digest else None), None)
    update_rejects(database)
    return Loaded(_content_hash_of(details), True, details, appended, reloaded_movies)


def _may_be_known(last: Load, files: MovieLensFiles, movies: Load | None) -> bool:
    """Whether a file may be the loaded one, perhaps with appended rows; only then its digest is needed first."""
    size = size_of(files.ratings)
    return _same_movies(last, movies) and (_is_size_of(last, size) or may_append(files, last, size))


def _content_hash_of(details: dict[str, Any]) -> str:
    return combined_hash(bytes.fromhex(details["file"]["sha256"]))


def _rejected_texts(database: Database, file: str) -> list[str]:
    query = f"""SELECT raw_text FROM {SCHEMA}.rejected_ratings
                WHERE file = %s AND reason NOT LIKE 'duplicate%%' ORDER BY line"""
    return [text for (text,) in database.rows(query, [file])]


def _files_of_movies(last: Load | None) -> tuple[str, str]:
    """Names under which rejects of the movies and of the links are kept."""
    movies, links = (last.details.get("names") if last else None) or ("movies.csv", "links.csv")
    return movies, links


def rejected_examples(database: Database, file: str, limit: int = 10) -> Iterator[tuple[int, str, str]]:
    """First rejected rows of a file: line, reason, text."""
    yield from database.rows(
        f"SELECT line, reason, raw_text FROM {SCHEMA}.rejected_ratings WHERE file = %s ORDER BY line LIMIT %s",
        [file, limit],
    )


@dataclass(frozen=True)
class Rejected:
    """Rows of a file that did not load, for one reason.

    Attributes
    ----------
    file : str
    reason : str
        Without the part about a single row.
    rows : int
    line : int
        Of the first of these rows.
    text : str
        The text of that line.
    """

    file: str
    reason: str
    rows: int
    line: int
    text: str


def rejected_by_reason(database: Database) -> list[Rejected]:
    """Rows of the dataset's files that did not load: for each file the most frequent reason first."""
    return [Rejected(*row) for row in database.rows(read_sql("rejected_by_reason"))]
