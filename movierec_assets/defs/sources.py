"""The content of the tables that an asset reads: dataset, loads and posted ratings.

Belongs here: the sources that an asset records, and the refusal of empty tables and of matrices of another dataset.
Does not: the comparison of artifacts with their records (`resources.provenance`).
"""

from collections.abc import Mapping
from typing import Any

from movierec_assets.errors import ExplainedError
from movierec_assets.models.version import DATASET, DATASET_ID
from movierec_assets.resources.provenance import mismatches, refuse
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import DatasetRef, loaded_dataset


class NothingLoadedError(ExplainedError):
    """An asset was materialized before the tables that it reads; the message says what to materialize first."""


def sources_of(database: Database) -> dict[str, Any]:
    """The loaded dataset, the versions of the loads of ratings and movies, and the last posted rating.

    Ask before the tables are read, so that a row that arrives in between counts as newer than the asset.
    """
    dataset = loaded_dataset(database)
    loads = {table: database.last_load(table) for table in ("ratings", "movies")}
    return {
        **({} if dataset is None else {DATASET_ID: dataset.id, DATASET: dataset.name}),
        **{table: load.version if load else None for table, load in loads.items()},
        "app_ratings": database.scalar(f"SELECT max(rating_id) FROM {SCHEMA}.valid_app_ratings"),
    }


def dataset_of(sources: Mapping[str, Any]) -> DatasetRef | None:
    """The dataset that recorded sources name; None when they name none."""
    return DatasetRef(int(sources[DATASET_ID]), str(sources[DATASET])) if DATASET_ID in sources else None


def require_ratings(database: Database, consumer: str, before: str = "raw_ratings") -> None:
    """Refuse tables without ratings.

    Parameters
    ----------
    database : Database
    consumer : str
        The asset that asks.
    before : str
        The assets to materialize before it.

    Raises
    ------
    NothingLoadedError
    """
    if database.last_load("ratings") is None and not database.scalar(
        f"SELECT EXISTS (SELECT FROM {SCHEMA}.rating_users)"
    ):
        raise NothingLoadedError(
            f"{consumer} was materialized before any ratings were loaded. Materialize {before} first, or run the job "
            "`everything` (`movierec run`), which makes all assets in order."
        )


def require_of_loaded(database: Database, consumer: str, sources: Mapping[str, Any]) -> None:
    """Refuse matrices of another dataset than the one in the tables.

    Raises
    ------
    ProvenanceError
    """
    loaded, made_from = loaded_dataset(database), dataset_of(sources)
    if loaded is not None and made_from is not None and made_from.id != loaded.id:
        refuse(
            f"{consumer} was handed matrices of another dataset than is loaded",
            mismatches({"dataset": str(made_from)}, {"dataset": str(loaded)}),
            "Make the matrices of the loaded dataset first (job `train`).",
        )
