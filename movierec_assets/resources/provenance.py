"""The record of each artifact on its materialization, and the refusal of artifacts that differ from it.

Belongs here: fingerprints, the metadata under which they are recorded, and the comparison of stored with expected
values. The IO managers call it for every artifact that they write or read. Does not: the content of the tables
(`defs.sources`).

Dagster concept: asset metadata, https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mode
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from dagster import AssetKey, DagsterInstance, EventLogEntry

from movierec_assets.errors import ExplainedError
from movierec_assets.recsys.interactions import Interactions

FINGERPRINT, SPLIT, SOURCES = "fingerprint", "split", "made_from"
POSITIVES = "positive_ratings_fingerprint"
"""Metadata of each part of a split: the FINGERPRINT of the positives that were divided."""
UNCHANGED = "unchanged"
"""Metadata of als_model and champion_model: whether an earlier version stands because nothing has changed since."""
SPLIT_PARTS = ("train_matrix", "validation_matrix", "test_matrix", "id_maps")
"""Assets of one split, which are made together and only used together."""
_SHOWN = 16


class ProvenanceError(ExplainedError):
    """Artifacts do not belong together; the message lists every mismatch and what to materialize."""


@dataclass(frozen=True)
class Mismatch:
    """One value that differs from the expected one.

    Attributes
    ----------
    name : str
    stored, expected : str or None
        None where nothing is known.
    """

    name: str
    stored: str | None
    expected: str | None

    def __str__(self) -> str:
        return f"  {self.name}: stored {_short(self.stored)} / expected {_short(self.expected)}"


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value[:_SHOWN] if len(value) == hashlib.sha256().digest_size * 2 else value


def mismatches(stored: Mapping[str, str | None], expected: Mapping[str, str | None]) -> list[Mismatch]:
    """Every expected value that is unknown, or is not the stored one."""
    return [
        Mismatch(name, stored.get(name), value)
        for name, value in expected.items()
        if value is None or stored.get(name) != value
    ]


def refuse(subject: str, found: Iterable[Mismatch], remedy: str) -> None:
    """Raise when there is a mismatch.

    Parameters
    ----------
    subject : str
        Says which things do not belong together; begins the message.
    found : iterable of Mismatch
    remedy : str
        Says what to materialize; ends the message.

    Raises
    ------
    ProvenanceError
    """
    lines = list(map(str, found))
    if lines:
        raise ProvenanceError("\n".join([f"{subject}:", *lines, remedy]))


def fingerprint(artifact: Any) -> str:
    """SHA-256 of the content of a matrix, of a table, or of an object that is stored as arrays."""
    if isinstance(artifact, Interactions):
        return artifact.fingerprint()
    if not isinstance(artifact, pd.DataFrame):
        return _digest(artifact.to_arrays().values())
    return _digest(_comparable(artifact[name].to_numpy()) for name in artifact.columns)


def _comparable(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column of a table with one form of missing values: Parquet keeps neither the bits of NaN nor NaN in text."""
    if column.dtype == object:
        text = column.copy()
        text[pd.isna(text)] = None
        return text.astype("U")
    return np.where(np.isnan(column), np.nan, column) if column.dtype.kind == "f" else column


def _digest(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """SHA-256 of the values, types and shapes of arrays, in this order."""
    found = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        found.update(f"{little.dtype.str}{little.shape}".encode())
        found.update(little.data)
    return found.hexdigest()


def split_of(fingerprints: Mapping[str, str]) -> str:
    """The fingerprint of a split: one for those of its four parts."""
    return hashlib.sha256("\n".join(fingerprints[name] for name in SPLIT_PARTS).encode()).hexdigest()


def record(instance: DagsterInstance, asset: str | AssetKey) -> dict[str, Any]:
    """Plain metadata of an asset's latest materialization; empty when there is none."""
    return metadata_of(instance.get_latest_materialization_event(AssetKey.from_coercible(asset)))


def metadata_of(event: EventLogEntry | None) -> dict[str, Any]:
    """Plain metadata of a materialization; empty without one."""
    materialization = event.asset_materialization if event else None
    found = materialization.metadata if materialization else {}
    return {name: value.value for name, value in found.items()}


def records(instance: DagsterInstance, assets: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Plain metadata of the latest materialization of several assets, by one query; empty where there is none."""
    found: dict[str, dict[str, Any]] = {asset: {} for asset in assets}
    for each in instance.get_asset_records([AssetKey.from_user_string(asset) for asset in found]):
        entry = each.asset_entry
        found[entry.asset_key.to_user_string()] = metadata_of(entry.last_materialization)
    return found


def require_recorded(consumer: str, asset: str, found: str, recorded: Mapping[str, Any]) -> None:
    """Refuse content whose fingerprint is not that of the asset's latest materialization.

    Raises
    ------
    ProvenanceError
    """
    refuse(
        f"{consumer} was handed another {asset} than was recorded",
        mismatches({asset: found}, {asset: recorded.get(FINGERPRINT)}),
        f"Materialize {asset} again and what follows it (job `train`).",
    )


def require_one_split(consumer: str, recorded: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse assets whose records name different splits; assets that name none belong to any.

    The split that most of the assets name is the expected one.

    Raises
    ------
    ProvenanceError
    """
    splits = {asset: split for asset, values in recorded.items() if (split := values.get(SPLIT))}
    if splits:
        found = mismatches(splits, dict.fromkeys(splits, mode(splits.values())))
        refuse(
            f"{consumer} was handed artifacts that do not belong together",
            [Mismatch(f"split of {each.name}", each.stored, each.expected) for each in found],
            f"Materialize {', '.join(each.name for each in found)} again and what follows it (job `train`).",
        )
