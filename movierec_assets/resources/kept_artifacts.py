"""Artifacts that steps of a run hand on in memory, so that the next step need not read them again.

Belongs here: which artifacts are kept, and whether a kept one is still what the file holds. Does not: formats
(`io_managers`) and the record that a loaded artifact must fit (`provenance`).

Only the executor keeps artifacts, and only until the last step of its run that reads them has begun. An artifact is
handed on when nobody has replaced its file since. Nobody can change its arrays: they are made read-only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from upath import UPath

from movierec_assets.recsys.interactions import Arrays

MAX_BYTES = 400_000_000
"""Of all kept artifacts; what has no room is read again."""

Signature = tuple[int, int, int]


@dataclass(frozen=True)
class Kept:
    """An artifact in memory.

    Attributes
    ----------
    artifact : object
    fingerprint : str
        Of its content.
    signature : tuple or None
        Which file it is, as it was left; None of a file on another storage than the local disk.
    bytes : int
        Size of its arrays.
    """

    artifact: Any
    fingerprint: str
    signature: Signature | None
    bytes: int


class _Run:
    """The artifacts of a run by path, and how many steps that have not begun read each asset."""

    def __init__(self, readers: Mapping[str, int]) -> None:
        self.kept: dict[str, Kept] = {}
        self.readers = Counter(readers)


_runs: list[_Run] = []
"""Of this process; the last one goes on."""


@contextmanager
def keeping(readers: Mapping[str, int]) -> Iterator[None]:
    """Keep artifacts in this context, and forget them at its end.

    Parameters
    ----------
    readers : dict of int
        How many steps read an asset, by its name; others are not kept.
    """
    _runs.append(_Run(readers))
    try:
        yield
    finally:
        _runs.pop()


def signature_of(path: UPath) -> Signature | None:
    """Inode, size and time of change of a file; None on another storage than the local disk."""
    if path.protocol not in ("", "file", "local"):
        return None
    found = os.stat(path.path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def keep(asset: str, path: UPath, kept: Kept, arrays: Arrays | None) -> None:
    """Keep an artifact that was just written to, or read from, a file, where a later step of the run reads it.

    Parameters
    ----------
    asset : str
    path : UPath
    kept : Kept
        Without a signature, nothing cheap tells whether the file was replaced, and it is not kept.
    arrays : dict of arrays or None
        All that it consists of; it is not kept without them.
    """
    if not _runs or arrays is None or kept.signature is None or _runs[-1].readers[asset] <= 0:
        return
    others = _runs[-1].kept
    others.pop(str(path), None)
    if kept.bytes + sum(each.bytes for each in others.values()) > MAX_BYTES:
        return
    for array in arrays.values():
        array.flags.writeable = False
    others[str(path)] = kept


def take(asset: str, path: UPath, wanted: Any) -> Kept | None:
    """The kept artifact of a file, for a step that begins; None where it has to be read.

    It is kept for further steps only where there are any. It must be of the wanted class, and the file the same.
    """
    if not _runs:
        return None
    run = _runs[-1]
    run.readers[asset] -= 1
    found = run.kept.get(str(path)) if run.readers[asset] > 0 else run.kept.pop(str(path), None)
    if found is None or found.signature != signature_of(path) or type(found.artifact) is not wanted:
        return None
    return found
