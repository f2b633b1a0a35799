"""The champion's arrays on the local disk, mapped into memory, so that an answer needs no MLflow artifact.

Belongs here: writing and reading the copy. Does not: which version is the champion (`registry`).

A copy is named after its version and MLflow run, so no version gets the copy of another. It is written to a directory
beside its own and renamed. Each change of the champion through the platform writes a copy. After a move of the alias in
MLflow, the next reader writes it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from movierec_assets.recsys.recommender import Recommender

if TYPE_CHECKING:
    from movierec_assets.models.version import Version

_log = logging.getLogger(__name__)

_FORMAT = 2
_MANIFEST = "manifest.json"
_INCOMPLETE = ".writing-"
_MAX_WRITE_SECONDS = 3600
"""A copy that is incomplete for longer belongs to a process that was killed."""


class ChampionCopy:
    """Copies of champions in a directory; at most one is kept.

    Parameters
    ----------
    directory : Path
        Made when a copy is written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self, version: Version) -> Recommender | None:
        """The recommender of a version, its arrays mapped from the files; None without a sound copy of this version.

        The arrays are writable, and writes stay in memory: `implicit` accepts no read-only arrays.
        """
        directory = self._directory_of(version)
        try:
            manifest = json.loads((directory / _MANIFEST).read_bytes())
            if manifest.get("format") != _FORMAT:
                return None
            arrays: dict[str, npt.NDArray[Any]] = {}
            for name, (size, checksum) in manifest["files"].items():
                file = directory / f"{name}.npy"
                if file.stat().st_size != size:
                    return None
                arrays[name] = np.load(file, mmap_mode="c", allow_pickle=False)
                if _checksum(arrays[name]) != checksum:
                    return None
            return Recommender.from_arrays(arrays)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, version: Version, recommender: Recommender) -> None:
        """Write the copy of a version, and remove every other copy.

        Raises
        ------
        OSError
            When the files cannot be written; an earlier copy is then as it was.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        directory = self._directory_of(version)
        unfinished = Path(tempfile.mkdtemp(prefix=_INCOMPLETE, dir=self.directory))
        try:
            files = {}
            for name, array in recommender.to_arrays().items():
                file = unfinished / f"{name}.npy"
                np.save(file, array, allow_pickle=False)
                files[name] = (file.stat().st_size, _checksum(array))
            (unfinished / _MANIFEST).write_text(json.dumps({"format": _FORMAT, "files": files}), encoding="utf-8")
            unfinished.chmod(0o755)
            if directory.exists():  # damaged, or another process has written it meanwhile
                shutil.rmtree(directory, ignore_errors=True)
            os.rename(unfinished, directory)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        for other in self.directory.iterdir():
            # A process that has mapped the removed files keeps them. A copy that is being written stays.
            if other != directory and not (other.name.startswith(_INCOMPLETE) and _is_recent(other)):
                shutil.rmtree(other, ignore_errors=True)

    def keep(self, version: Version, recommender: Recommender) -> None:
        """Write a copy; log an error of the disk as a warning, because the copy only saves time."""
        try:
            self.write(version, recommender)
        except OSError as error:
            _log.warning("No copy of version %d was written to %s: %s", version.number, self.directory, error)

    def _directory_of(self, version: Version) -> Path:
        return self.directory / f"{version.number}-{re.sub(r'[^A-Za-z0-9_-]', '_', version.run_id)}"


def _checksum(array: npt.NDArray[Any]) -> int:
    """CRC-32 of the values; a hundred megabytes take a twentieth of a second."""
    return zlib.crc32(np.atleast_1d(np.ascontiguousarray(array)).view(np.uint8).data)


def _is_recent(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _MAX_WRITE_SECONDS
    except FileNotFoundError:
        return False
