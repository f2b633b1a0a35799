"""Datasets that this platform has loaded, each with a number.

The number is stored with everything that belongs to a dataset: versions of the model, searches, ratings of the app. So
nothing that was learned from one dataset is used for another.

Belongs here: recognizing the dataset that is being loaded, and which dataset is loaded. Does not: comparing two
datasets (`datasets.identity`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.datasets.identity import Catalogue, Contents, PairSketch, most_similar
from movierec_assets.datasets.loaded_from import LoadedFrom
from movierec_assets.ratings import pair_key
from movierec_assets.tables.app_ratings import adopt
from movierec_assets.tables.binary_copy import Kind
from movierec_assets.tables.database import SCHEMA, Database, copy_out, first_value
from movierec_assets.tables.served import SERVED_TABLES, TRENDING_MOVIES


@dataclass(frozen=True)
class DatasetRef:
    """Number and name of a dataset, as recorded with models.

    Attributes
    ----------
    id : int
        From 1, in the order of first loads; 0 for `UNKNOWN_DATASET`.
    name : str
        Name of the directory of the last load.
    """

    id: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (dataset {self.id})" if self.id else self.name


UNKNOWN_DATASET = DatasetRef(0, "an unknown dataset")
"""For a model whose dataset was not recorded."""


def loaded_dataset(database: Database) -> DatasetRef | None:
    """The dataset in the tables; None before anything was loaded."""
    found = database.rows(f"SELECT dataset_id, name FROM {SCHEMA}.loaded_dataset")
    return DatasetRef(*found[0]) if found else None


def loaded_from(database: Database) -> LoadedFrom | None:
    """Name, place and content of the files of the loaded dataset; None before anything was loaded."""
    load, dataset = database.last_load("ratings"), loaded_dataset(database)
    if load is None:
        return None
    source, size = Path(load.source), load.details.get("file", {}).get("bytes")
    if dataset is None:
        return LoadedFrom(source.name, source, size, load.version)
    return LoadedFrom(dataset.name, source, size, load.version, lambda: _contents_of(database, dataset))


def _contents_of(database: Database, dataset: DatasetRef) -> Contents | None:
    return next((contents for ref, contents in datasets_of(database) if ref.id == dataset.id), None)


def datasets_of(database: Database) -> list[tuple[DatasetRef, Contents]]:
    """Every dataset that was loaded, with its contents at its last load, in the order of these loads."""
    with database.transaction() as cursor:
        return _known(cursor)


def recognize(cursor: Cursor, name: str, pairs: PairSketch, *, continues: int | None = None) -> DatasetRef:
    """Find or make the number of the dataset that is being loaded, in the transaction that loads its ratings.

    When another dataset was loaded before, the tables of recommendations are emptied: their rows name movies of another
    catalogue.

    Parameters
    ----------
    cursor : cursor
        Sees the dataset's movies in `movies`.
    name : str
    pairs : PairSketch
        Of all ratings, or of the new ones when they are appended.
    continues : int, optional
        Number of the dataset to which ratings are appended.
    """
    cursor.execute(f"SELECT movie_id, title FROM {SCHEMA}.movies")
    movies = cursor.fetchall()
    catalogue = Catalogue.of([movie_id for movie_id, _ in movies], [title for _, title in movies])
    known = _known(cursor)
    if continues is not None:
        before = next(contents for ref, contents in known if ref.id == continues)
        pairs = PairSketch(np.concatenate([before.pairs.hashes, pairs.hashes]))
        found: int | None = continues
    else:
        at = most_similar(Contents(catalogue, pairs), [contents for _, contents in known])
        found = None if at is None else known[at][0].id
    values = [name, catalogue.movie_ids.tolist(), catalogue.titles.tolist(), pairs.hashes.tolist()]
    if found is None:
        cursor.execute(
            f"INSERT INTO {SCHEMA}.datasets (name, movie_ids, titles, pairs) VALUES (%s, %s, %s, %s) "
            "RETURNING dataset_id",
            values,
        )
        found = int(first_value(cursor))
    else:
        cursor.execute(
            f"UPDATE {SCHEMA}.datasets SET name = %s, movie_ids = %s, titles = %s, pairs = %s, loaded_at = now() "
            "WHERE dataset_id = %s",
            [*values, found],
        )
    _empty_served_tables(cursor, found)
    return DatasetRef(found, name)


def recognize_loaded(database: Database) -> None:
    """Number the loaded dataset when a release without numbers loaded it; one query when it has a number.

    Ratings that were posted in the app get the same number.
    """
    with database.transaction() as cursor:
        cursor.execute(f"SELECT source FROM {SCHEMA}.loads WHERE table_name = 'ratings' AND dataset_id IS NULL")
        if (load := cursor.fetchone()) is None:
            return
        kinds: dict[str, Kind] = {"user_id": "integer", "movie_id": "integer"}
        rows = copy_out(cursor, f"SELECT user_id, movie_id FROM {SCHEMA}.ratings", kinds)
        pairs = PairSketch()
        pairs.add(pair_key(rows["user_id"], rows["movie_id"]))
        dataset = recognize(cursor, Path(load[0]).name, pairs)
        cursor.execute(f"UPDATE {SCHEMA}.loads SET dataset_id = %s WHERE table_name = 'ratings'", [dataset.id])
        # Locked, so that no rating is posted without a number meanwhile: the next file may be another dataset.
        cursor.execute(f"LOCK TABLE {SCHEMA}.app_ratings IN SHARE ROW EXCLUSIVE MODE")
        adopt(cursor)


def _empty_served_tables(cursor: Cursor, dataset_id: int) -> None:
    """Empty the tables of recommendations when another dataset than this one was loaded."""
    cursor.execute(f"SELECT dataset_id FROM {SCHEMA}.loaded_dataset")
    before = cursor.fetchone()
    if before is not None and before[0] != dataset_id:
        # TRUNCATE would make readers wait until the ratings are indexed.
        for table in (*SERVED_TABLES, TRENDING_MOVIES):
            cursor.execute(f"DELETE FROM {SCHEMA}.{table.name}")


def _known(cursor: Cursor) -> list[tuple[DatasetRef, Contents]]:
    """Every dataset with its contents, in the order of their last loads."""
    cursor.execute(
        f"SELECT dataset_id, name, movie_ids, titles, pairs FROM {SCHEMA}.datasets ORDER BY loaded_at, dataset_id"
    )
    return [
        (
            DatasetRef(number, name),
            Contents(Catalogue(np.array(ids, np.int64), np.array(titles, np.int64)), PairSketch(pairs)),
        )
        for number, name, ids, titles, pairs in cursor.fetchall()
    ]
