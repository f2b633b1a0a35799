"""The files of a version, and the recommender in them.

Belongs here: reading the recommender, and the difference between files that are gone or damaged and a store that does
not answer. Does not: the remedy for a version that does not load (`registry`).
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from movierec_assets.models import artifact_locations
from movierec_assets.recsys.recommender import Recommender

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_FILE = "recommender.npz"
"""Name of the recommender's arrays inside the artifacts of a version."""
DIRECTORY = "artifacts"
"""Directory of that file among a version's files."""
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, IndexError, TypeError)
"""Errors of reading arrays that are caused by their file, and not by the disk or the network."""

_GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class UnreadableError(Exception):
    """The file of a version cannot be read; the message names it and the fault, without a full stop."""


def read(client: MlflowClient, model: str, number: int, artifacts: Path | None) -> Recommender:
    """Read the recommender of a version.

    Parameters
    ----------
    client : MlflowClient
    model : str
    number : int
    artifacts : Path or None
        Directory to which relative URIs are relative; None when an MLflow server has the files.

    Raises
    ------
    UnreadableError
        When the file is gone or damaged, or this account may not read it.
    """
    with _file(client, model, number, artifacts) as (path, shown):
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return Recommender.from_arrays(arrays)
        except _GONE as error:
            raise UnreadableError(f"{shown} is not there") from error
        except PermissionError as error:
            raise UnreadableError(f"this account may not read {shown}") from error
        except DAMAGED as error:
            reason = str(error).strip(". ").partition("\n")[0]
            raise UnreadableError(f"{shown} is damaged ({reason or type(error).__name__})") from error


@contextmanager
def _file(client: MlflowClient, model: str, number: int, artifacts: Path | None) -> Iterator[tuple[Path, str]]:
    """The file and its name for people; with a server, a copy of the file.

    Raises
    ------
    UnreadableError
        When the server lists the version's files, and this one is not among them.
    """
    location = client.get_model_version_download_uri(model, str(number))
    directory = None if artifacts is None else artifact_locations.local_path(location, artifacts)
    if directory is not None:
        path = directory / DIRECTORY / MODEL_FILE
        yield path, str(path)
        return
    from mlflow.artifacts import download_artifacts, list_artifacts  # noqa: PLC0415

    uri, wanted, tracking_uri = f"models:/{model}/{number}", f"{DIRECTORY}/{MODEL_FILE}", client.tracking_uri
    shown = f"{location}/{wanted}"
    listed = list_artifacts(f"{uri}/{DIRECTORY}", tracking_uri=tracking_uri)
    if not any(item.path.endswith(MODEL_FILE) for item in listed):
        raise UnreadableError(f"{shown} is not there")
    with tempfile.TemporaryDirectory(prefix="movierec-") as scratch:
        yield Path(download_artifacts(f"{uri}/{wanted}", dst_path=scratch, tracking_uri=tracking_uri)), shown
