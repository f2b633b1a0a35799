"""What Dagster knows of the artefacts at hand, and whether they belong together.

Belongs here: the records that assets leave on their materializations, and the demands of their consumers. Comparing and
refusing is `resources.provenance`'.

Dagster concept: asset metadata, https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from typing import Any

import pandas as pd
from dagster import AssetKey, DagsterInstance

from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.version import DATASET, DATASET_ID
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.resources.provenance import NothingLoadedError, digest, joint, mismatches, refuse
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import DatasetRef, loaded_dataset

FINGERPRINT, SPLIT, SOURCES = "fingerprint", "split", "made_from"
POSITIVES = "positive_ratings_fingerprint"
"""Metadata of each part of a split: the FINGERPRINT of the positives that were divided."""
UNCHANGED = "unchanged"
"""Metadata of als_model and champion_model: whether an earlier version stands, for nothing has changed since."""
SPLIT_PARTS = ("train_matrix", "validation_matrix", "test_matrix", "id_maps")
"""What is made together, and only to be used together."""
_REFRESH_SPLIT = "Materialize split_matrices again and what follows it (job `train`)."


Artefact = Interactions | Challenger | ChampionFit | pd.DataFrame


def fingerprint(part: Artefact) -> str:
    """SHA-256 of the content of an artefact."""
    if isinstance(part, Interactions):
        return part.fingerprint()
    if isinstance(part, Challenger | ChampionFit):
        return digest(*part.to_arrays().values())
    columns = [part[name].to_numpy() for name in part.columns]
    return digest(*(column.astype("U") if column.dtype == object else column for column in columns))


def split_of(fingerprints: dict[str, str]) -> str:
    """What tells a split from another: its four parts."""
    return joint(fingerprints[name] for name in SPLIT_PARTS)


def sources_of(database: Database) -> dict[str, Any]:
    """What is in the tables: the dataset, versions of the loads of ratings and movies, and the last posted rating.

    To be asked before the tables are read: what comes in meanwhile then looks newer than what was made.
    """
    dataset = loaded_dataset(database)
    loads = {table: database.last_load(table) for table in ("ratings", "movies")}
    return {
        **({} if dataset is None else {DATASET_ID: dataset.id, DATASET: dataset.name}),
        **{table: load.version if load else None for table, load in loads.items()},
        "app_ratings": database.scalar(f"SELECT max(rating_id) FROM {SCHEMA}.valid_app_ratings"),
    }


def require_ratings(database: Database, consumer: str, before: str = "raw_ratings") -> None:
    """Refuse tables that nothing was loaded into.

    Parameters
    ----------
    database : Database
    consumer : str
        The asset that asks.
    before : str
        What is to be materialized before it.

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


def record(instance: DagsterInstance, asset: str) -> dict[str, Any]:
    """Plain metadata of an asset's latest materialization; empty when there is none."""
    event = instance.get_latest_materialization_event(AssetKey(asset))
    materialization = event.asset_materialization if event else None
    found = materialization.metadata if materialization else {}
    return {name: value.value for name, value in found.items()}


def require_recorded(
    instance: DagsterInstance,
    consumer: str,
    asset: str,
    content: Artefact,
) -> dict[str, Any]:
    """Refuse content that is not what was recorded when the asset was materialized; returns what it was made from.

    Raises
    ------
    ProvenanceError
    """
    found = record(instance, asset)
    refuse(
        f"{consumer} was handed another {asset} than was recorded",
        mismatches({asset: fingerprint(content)}, {asset: found.get(FINGERPRINT)}),
        f"Materialize {asset} again and what follows it (job `train`).",
    )
    return dict(found.get(SOURCES, {}))


def require_of_loaded(database: Database, consumer: str, sources: dict[str, Any]) -> None:
    """Refuse what was made from another dataset than the one in the tables.

    Raises
    ------
    ProvenanceError
    """
    loaded = loaded_dataset(database)
    if loaded is None or DATASET_ID not in sources:
        return
    made_from = DatasetRef(sources[DATASET_ID], sources[DATASET])
    if made_from.id != loaded.id:
        refuse(
            f"{consumer} was handed matrices of another dataset than is loaded",
            mismatches({"dataset": str(made_from)}, {"dataset": str(loaded)}),
            "Make the matrices of what is loaded first (job `train`).",
        )


def require_one_split(
    instance: DagsterInstance, consumer: str, **parts: Interactions | pd.DataFrame
) -> tuple[str, dict[str, Any]]:
    """Refuse parts that were not made together, or are not what was recorded when they were made.

    Parameters
    ----------
    instance : DagsterInstance
    consumer : str
        The asset that asks.
    **parts : Interactions or DataFrame
        As they were read, by the names of their assets.

    Returns
    -------
    split : str
        What tells it from other splits.
    sources : dict
        What it was made from.

    Raises
    ------
    ProvenanceError
    """
    records = {name: record(instance, name) for name in parts}
    at_hand = {name: fingerprint(part) for name, part in parts.items()}
    found = mismatches(at_hand, {name: each.get(FINGERPRINT) for name, each in records.items()})
    splits = {f"split of {name}": each.get(SPLIT) for name, each in records.items()}
    expected = next(iter(splits.values())) or "one that is recorded"
    found += mismatches(splits, dict.fromkeys(splits, expected))
    refuse(f"{consumer} was handed matrices that do not belong together", found, _REFRESH_SPLIT)
    return expected, dict(next(iter(records.values())).get(SOURCES, {}))
