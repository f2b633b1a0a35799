"""The champion's arrays on the local disk, ready to be mapped into memory, so that an answer needs no MLflow artifact.

Belongs here: the files, how they are written and how they are read back. Which version is the champion is the
registry's to say, and is asked first: a copy is named after the version and the run it came from, so the copy of
another version is never taken for it.

A copy is written beside its place and renamed. Whatever moves the alias through the platform writes the new one. When
the alias was moved in MLflow, whoever reads next does.
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
_HALF_WRITTEN = ".writing-"
_LONGEST_WRITE = 3600
"""Seconds after which a half-written copy is that of a process that was killed."""


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

        Mapped for writing, which reaches no file: `implicit` takes no arrays that are read-only.
        """
        place = self._place(version)
        try:
            manifest = json.loads((place / _MANIFEST).read_bytes())
            if manifest.get("format") != _FORMAT:
                return None
            arrays: dict[str, npt.NDArray[Any]] = {}
            for name, (size, checksum) in manifest["files"].items():
                file = place / f"{name}.npy"
                if file.stat().st_size != size:
                    return None
                arrays[name] = np.load(file, mmap_mode="c", allow_pickle=False)
                if _checksum(arrays[name]) != checksum:
                    return None
            return Recommender.from_arrays(arrays)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, version: Version, recommender: Recommender) -> None:
        """Keep a version's recommender, and no other's.

        Raises
        ------
        OSError
            When the files cannot be written; an earlier copy is then as it was.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        place = self._place(version)
        beside = Path(tempfile.mkdtemp(prefix=_HALF_WRITTEN, dir=self.directory))
        try:
            files = {}
            for name, array in recommender.to_arrays().items():
                file = beside / f"{name}.npy"
                np.save(file, array, allow_pickle=False)
                files[name] = (file.stat().st_size, _checksum(array))
            (beside / _MANIFEST).write_text(json.dumps({"format": _FORMAT, "files": files}), encoding="utf-8")
            beside.chmod(0o755)
            if place.exists():  # damaged, or somebody else was quicker
                shutil.rmtree(place, ignore_errors=True)
            os.rename(beside, place)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        for other in self.directory.iterdir():
            # Who has mapped the files of another copy keeps them; who is writing one is left alone.
            if other != place and not (other.name.startswith(_HALF_WRITTEN) and _is_recent(other)):
                shutil.rmtree(other, ignore_errors=True)

    def keep(self, version: Version, recommender: Recommender) -> None:
        """Write a copy, and put up with what stands in the way: the copy saves time and decides nothing."""
        try:
            self.write(version, recommender)
        except OSError as error:
            _log.warning("No copy of version %d was written to %s: %s", version.number, self.directory, error)

    def _place(self, version: Version) -> Path:
        return self.directory / f"{version.number}-{re.sub(r'[^A-Za-z0-9_-]', '_', version.run_id)}"


def _checksum(array: npt.NDArray[Any]) -> int:
    """CRC-32 of the values; a hundred megabytes take a twentieth of a second."""
    return zlib.crc32(np.atleast_1d(np.ascontiguousarray(array)).view(np.uint8).data)


def _is_recent(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _LONGEST_WRITE
    except FileNotFoundError:
        return False
