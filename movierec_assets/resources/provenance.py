"""What an artefact was made from and by, and the refusal of artefacts that do not belong together.

Belongs here: fingerprints, the code and the libraries of this process, and the comparison of what is stored with what
is expected. Records of what Dagster materialized are read in `defs.provenance`.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import movierec_assets
from movierec_assets import __version__
from movierec_assets.settings import PROJECT_ROOT, get_settings

LIBRARIES = ("dagster", "implicit", "mlflow", "numpy", "optuna", "pandas", "scipy")
"""Libraries whose versions may change what is learned or how it is kept."""
TRAINING_CODE = (
    *("recsys", "defs/training.py", "defs/versions.py"),
    *("models/package.py", "models/predecessor.py", "serving/pyfunc.py"),
)
"""Files and directories of the package that decide what is in a version."""
UNKNOWN = "unknown"
_SHOWN = 16


class ProvenanceError(RuntimeError):
    """Artefacts do not belong together; the message lists every mismatch and what to refresh."""


class NothingLoadedError(RuntimeError):
    """An asset was materialized before what it reads from the tables; the message says what to materialize first."""


@dataclass(frozen=True)
class Mismatch:
    """One thing that is not what it should be.

    Attributes
    ----------
    what : str
    stored, expected : str or None
        None where nothing is known.
    """

    what: str
    stored: str | None
    expected: str | None

    def __str__(self) -> str:
        return f"  {self.what}: stored {_short(self.stored)} / expected {_short(self.expected)}"


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value[:_SHOWN] if len(value) == hashlib.sha256().digest_size * 2 else value


def mismatches(stored: Mapping[str, str | None], expected: Mapping[str, str | None]) -> list[Mismatch]:
    """Everything expected that is not stored so."""
    return [
        Mismatch(what, stored.get(what), value)
        for what, value in expected.items()
        if value is None or stored.get(what) != value
    ]


def refuse(subject: str, found: Iterable[Mismatch], remedy: str) -> None:
    """Raise when there is a mismatch.

    Parameters
    ----------
    subject : str
        What does not belong together; begins the message.
    found : iterable of Mismatch
    remedy : str
        What to refresh; ends the message.

    Raises
    ------
    ProvenanceError
    """
    lines = list(map(str, found))
    if lines:
        raise ProvenanceError("\n".join([f"{subject}:", *lines, remedy]))


def digest(*arrays: npt.NDArray[Any]) -> str:
    """SHA-256 of arrays: of their values, types and lengths, in this order."""
    found = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        found.update(f"{little.dtype.str}{little.shape}".encode())
        found.update(little.data)
    return found.hexdigest()


def joint(fingerprints: Iterable[str]) -> str:
    """One fingerprint for several, in this order."""
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()


def code() -> dict[str, str]:
    """Version and commit of the code that runs here."""
    return {"code_version": __version__, "git_commit": get_settings().git_commit or _git_commit()}


def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries that matter to a model."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = UNKNOWN
    return found


@cache
def training_code() -> str:
    """SHA-256 of the code that trains; unlike the commit, it knows changed files, and stays where others change."""
    package = Path(movierec_assets.__file__).parent
    files = [file for name in TRAINING_CODE for file in (sorted((package / name).rglob("*.py")) or [package / name])]
    found = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        found.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


@cache
def _git_commit() -> str:
    """Commit of the working tree, marked when files differ from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT_ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()
