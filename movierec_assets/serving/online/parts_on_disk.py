"""Named arrays in a directory, with a manifest of their types, shapes and hashes, mapped into memory by readers.

Belongs here: writing and reading one such directory. Does not: what the arrays mean (`stored`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movierec_assets.recsys.interactions import Arrays

MANIFEST = "manifest.json"
FORMAT = 1


class DamagedError(Exception):
    """A directory is gone or damaged, or another release wrote it; the message names it, without a full stop."""


@dataclass(frozen=True)
class Part:
    """Arrays, and facts about them.

    Attributes
    ----------
    facts : dict
        Plain values.
    arrays : dict of arrays
        Mapped from the files. Writes to them stay in this process.
    """

    facts: dict[str, Any]
    arrays: Arrays


def write(parent: Path, kind: str, facts: Mapping[str, Any], arrays: Arrays) -> str:
    """Write a new directory; returns its name, which begins with the kind.

    Raises
    ------
    OSError
        When the files cannot be written; none are left then.
    """
    parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=parent))
    try:
        listed = {name: _written(directory / f"{name}.npy", array) for name, array in arrays.items()}
        manifest = {"format": FORMAT, "kind": kind, "facts": dict(facts), "arrays": listed}
        (directory / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return directory.name


def _written(file: Path, array: Any) -> dict[str, Any]:
    np.save(file, array, allow_pickle=False)
    return {"type": array.dtype.str, "shape": list(array.shape), "sha256": _sha256(file)}


def read(parent: Path, name: str, kind: str) -> Part:
    """Map the arrays of a directory, after comparing all of its files with the manifest.

    Raises
    ------
    DamagedError
    """
    directory = parent / name
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
        if (manifest["format"], manifest["kind"]) != (FORMAT, kind):
            raise DamagedError(f"{directory} is of another release")
        arrays = {each: _mapped(directory / f"{each}.npy", listed) for each, listed in manifest["arrays"].items()}
        return Part(dict(manifest["facts"]), arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise DamagedError(f"{directory} is gone or damaged ({error})") from error


def _mapped(file: Path, listed: Mapping[str, Any]) -> Any:
    if _sha256(file) != listed["sha256"]:
        raise ValueError(f"{file.name} is not as it was written")
    # Copy on write, because `implicit` accepts no read-only arrays. Not a memmap, which makes every operation slower.
    array = np.asarray(np.load(file, mmap_mode="c", allow_pickle=False))
    if (array.dtype.str, list(array.shape)) != (listed["type"], listed["shape"]):
        raise ValueError(f"{file.name} has {array.dtype.str} {array.shape}, not {listed['type']} {listed['shape']}")
    return array


def _sha256(file: Path) -> str:
    # Read and not mapped, so that pages which no request needs do not count as memory of this process.
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
