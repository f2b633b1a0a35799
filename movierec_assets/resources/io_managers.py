"""Stored artifacts between assets: matrices and models as npz, tables as Parquet.

Belongs here: the formats, and the check that an asset reads the content that was recorded when it was materialized. A
new kind of artifact needs no new manager: a class with `to_arrays` and `from_arrays` is an npz, a pandas DataFrame is a
Parquet file. Does not: the record itself (`provenance`).

Dagster concept: IO managers, https://docs.dagster.io/guides/build/io-managers
"""

from __future__ import annotations

import os
import uuid
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, cast, runtime_checkable
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from dagster import (
    ConfigurableIOManagerFactory,
    InputContext,
    JobDefinition,
    MetadataValue,
    OutputContext,
    UPathIOManager,
)
from dagster._core.execution.plan.step import ExecutionStep
from upath import UPath

from movierec_assets import full_disk
from movierec_assets.errors import ExplainedError
from movierec_assets.recsys.interactions import Arrays
from movierec_assets.resources import kept_artifacts
from movierec_assets.resources.kept_artifacts import Kept, Signature, signature_of
from movierec_assets.resources.memory import peak_rss_mb
from movierec_assets.resources.provenance import FINGERPRINT, fingerprint, records, require_one_split, require_recorded
from movierec_assets.settings import get_settings


@runtime_checkable
class StoredAsArrays(Protocol):
    """An object that is stored as named arrays."""

    def to_arrays(self) -> Arrays:
        """The arrays by name."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Any) -> Any:
        """The object from the arrays of `to_arrays`."""
        ...


class ArtifactMissingError(ExplainedError, FileNotFoundError):
    """An upstream artifact was never stored, or was removed; the message says what to materialize."""


class ArtifactDamagedError(ExplainedError):
    """A stored artifact cannot be read; the message says what to materialize."""


class _VerifyingIOManager(UPathIOManager):
    """Records the fingerprint of the artifacts that it writes, and refuses to load others.

    Writes beside the target and moves the file there, so that neither a reader nor a crash finds half a file.
    """

    _attempt: tuple[str, str, int] | None = None
    _records: Mapping[str, Mapping[str, Any]] = {}

    def dump_to_path(self, context: OutputContext, obj: Any, path: UPath) -> None:
        """Write the object, and record its fingerprint.

        Raises
        ------
        DiskFullError
        """
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            with full_disk.explained(str(path)):
                self._write(obj, beside)
            signature = signature_of(beside)
            if path.protocol in ("", "file", "local"):
                os.replace(beside.path, path.path)  # as text, a path from a URL would be a URL
            else:
                beside.rename(path)
        finally:
            beside.unlink(missing_ok=True)
        kept = self._keep(context.asset_key.to_user_string(), path, obj, signature)
        context.add_output_metadata(
            {
                FINGERPRINT: kept.fingerprint,
                "size_mb": round(path.stat().st_size / 1e6, 3),
                "peak_rss_mb": round(peak_rss_mb(), 1),
            }
        )

    def load_from_path(self, context: InputContext, path: UPath) -> Any:
        """Read the object as the type that the asset annotates, and verify it.

        Raises
        ------
        ArtifactMissingError, ArtifactDamagedError
        ProvenanceError
            When the object differs from the record of its materialization, or an input of the same step is of another
            split.
        """
        name, wanted = context.asset_key.to_user_string(), context.dagster_type.typing_type
        if not path.exists():
            raise ArtifactMissingError(
                f"{name} was never materialized, or was removed: {path} does not exist. Materialize {name} first, or "
                "run the job `everything` (`movierec run`), which makes all assets in order."
            )
        kept = kept_artifacts.take(name, path, wanted)
        if kept is None:
            kept = self._read_again(name, wanted, path)
        require_recorded(context.op_def.name, name, kept.fingerprint, self._records_of(context)[name])
        return self._handed_on(kept.artifact)

    def _read_again(self, name: str, wanted: Any, path: UPath) -> Kept:
        signature = signature_of(path)
        try:
            loaded = self._read(path, wanted)
        except (BadZipFile, EOFError, KeyError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise ArtifactDamagedError(f"{path} is damaged ({error}); materialize {name} again.") from error
        return self._keep(name, path, loaded, signature)

    def _keep(self, name: str, path: UPath, obj: Any, signature: Signature | None) -> Kept:
        arrays = self._arrays(obj)
        size = sum(each.nbytes for each in (arrays or {}).values())
        kept = Kept(obj, fingerprint(obj), signature, size)
        kept_artifacts.keep(name, path, kept, arrays)
        return kept

    def _records_of(self, context: InputContext) -> Mapping[str, Mapping[str, Any]]:
        """Records of the assets that a step reads; they are looked up, and their splits compared, once a step."""
        step = context.step_context
        attempt = (step.run_id, step.step.key, step.previous_attempt_count)
        if self._attempt != attempt:
            recorded = records(context.instance, inputs_of(step.job_def, step.step))
            require_one_split(context.op_def.name, recorded)
            self._attempt, self._records = attempt, recorded
        return self._records

    @abstractmethod
    def _write(self, obj: Any, path: UPath) -> None: ...

    @abstractmethod
    def _read(self, path: UPath, wanted: Any) -> Any: ...

    @abstractmethod
    def _arrays(self, obj: Any) -> Arrays | None:
        """All that the object consists of; None where reading it back may not give an equal one."""

    def _handed_on(self, obj: Any) -> Any:
        """A kept object as a step gets it."""
        return obj


def inputs_of(job: JobDefinition, step: ExecutionStep) -> list[str]:
    """Names of all assets that a step reads."""
    keys = (job.asset_layer.get_asset_key_for_node_input(step.node_handle, name) for name in step.step_input_dict)
    return [key.to_user_string() for key in keys if key is not None]


class NpzIOManager(_VerifyingIOManager):
    """Objects with `to_arrays` and `from_arrays` as uncompressed npz.

    Compressing ten million entries takes seconds, writing them uncompressed hundredths of one.
    """

    extension = ".npz"

    def _write(self, obj: StoredAsArrays, path: UPath) -> None:
        with path.open("wb") as file:
            np.savez(cast(Any, file), **cast(Any, obj.to_arrays()))

    def _read(self, path: UPath, wanted: Any) -> StoredAsArrays:
        if wanted is Any:
            raise TypeError(f"{path} holds arrays: annotate the input with the class that is made of them.")
        with path.open("rb") as file, np.load(cast(Any, file), allow_pickle=False) as arrays:
            return cast(StoredAsArrays, wanted.from_arrays(arrays))

    def _arrays(self, obj: StoredAsArrays) -> Arrays:
        return obj.to_arrays()


class ParquetIOManager(_VerifyingIOManager):
    """Pandas DataFrames as Parquet, without their index."""

    extension = ".parquet"

    def _write(self, obj: pd.DataFrame, path: UPath) -> None:
        with path.open("wb") as file:
            obj.to_parquet(cast(Any, file), index=False)

    def _read(self, path: UPath, wanted: Any) -> pd.DataFrame:
        with path.open("rb") as file:
            return pd.read_parquet(cast(Any, file))

    def _arrays(self, obj: pd.DataFrame) -> Arrays | None:
        columns = {str(name): obj[name].to_numpy() for name in obj.columns}
        # Parquet has one form of a missing text; numbers read back as they are.
        return columns if all(np.issubdtype(each.dtype, np.number) for each in columns.values()) else None

    def _handed_on(self, obj: pd.DataFrame) -> pd.DataFrame:
        return obj.copy(deep=False)  # a step may add columns

    def get_metadata(self, context: OutputContext, obj: pd.DataFrame) -> dict[str, MetadataValue]:
        """The row count, under the name that Dagster shows."""
        return {"dagster/row_count": MetadataValue.int(len(obj))}


class _Factory(ConfigurableIOManagerFactory[UPathIOManager]):
    base_path: str | None = None
    """Directory or fsspec URL; MOVIEREC_STORAGE_URL when None."""

    @property
    def _base(self) -> UPath:
        return UPath(self.base_path or get_settings().storage)


class NpzStorage(_Factory):
    """The npz manager in the configured storage."""

    def create_io_manager(self, context: Any) -> UPathIOManager:
        """Make the manager when a step starts."""
        return NpzIOManager(base_path=self._base)


class ParquetStorage(_Factory):
    """The Parquet manager in the configured storage."""

    def create_io_manager(self, context: Any) -> UPathIOManager:
        """Make the manager when a step starts."""
        return ParquetIOManager(base_path=self._base)
