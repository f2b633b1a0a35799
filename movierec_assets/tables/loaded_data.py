"""What is loaded, in figures.

Belongs here: counts of the loaded dataset and of the ratings that people posted for it. Does not: loading (`loading`),
which dataset it is (`known_datasets`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import loaded_dataset


@dataclass(frozen=True)
class LoadedData:
    """What is in the tables.

    Attributes
    ----------
    dataset : str
    source : str
        Directory or archive it was loaded from.
    loaded_at : datetime
        When the ratings of the file were loaded.
    movies, ratings, users : int
        Of the file.
    rejected : int
        Rows of the files that did not load.
    app_ratings : int
        Rows that were posted in the app for this dataset.
    latest_app_rating : datetime or None
        When the last of them was posted.
    """

    dataset: str
    source: str
    loaded_at: datetime
    movies: int
    ratings: int
    users: int
    rejected: int
    app_ratings: int
    latest_app_rating: datetime | None


def loaded_data(database: Database) -> LoadedData | None:
    """Figures of the loaded dataset; None before anything was loaded."""
    dataset, load, movies = loaded_dataset(database), database.last_load("ratings"), database.last_load("movies")
    if dataset is None or load is None:
        return None
    rejected = sum(sum(each.details.get("rejected", {}).values()) for each in (load, movies) if each is not None)
    (loaded_at, films, users, posted, latest) = database.rows(
        f"""SELECT (SELECT loaded_at FROM {SCHEMA}.loads WHERE table_name = 'ratings'),
                   (SELECT count(*) FROM {SCHEMA}.movies), (SELECT count(*) FROM {SCHEMA}.user_totals),
                   count(*), max(rated_at)
            FROM {SCHEMA}.valid_app_ratings"""
    )[0]
    ratings = load.details.get("rows")
    if ratings is None:  # recorded by an earlier release
        ratings = database.scalar(f"SELECT coalesce(sum(ratings), 0)::bigint FROM {SCHEMA}.user_totals")
    return LoadedData(str(dataset), load.source, loaded_at, films, ratings, users, rejected, posted, latest)


def app_ratings_after(database: Database, rating_id: int) -> int:
    """Number of ratings of the app that were posted after one of them, for the loaded dataset."""
    return int(database.scalar(f"SELECT count(*) FROM {SCHEMA}.valid_app_ratings WHERE rating_id > %s", [rating_id]))
