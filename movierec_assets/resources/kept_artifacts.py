"""Artifacts that steps of a run hand on in memory, so that the next step need not read them again.

Belongs here: which artifacts are kept, and whether a kept one is still what the file holds. Does not: formats
(`io_managers`) and the record that a loaded artifact must fit (`provenance`).

Only the executor keeps artifacts, and only while its run goes on. An artifact is handed on when nobody has replaced its
file since. Nobody can change its arrays: they are made read-only.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from upath import UPath

from movierec_assets.recsys.interactions import Arrays

MAX_BYTES = 400_000_000
"""Of all kept artifacts; those that were not used for the longest time are forgotten first."""

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


_runs: list[OrderedDict[str, Kept]] = []
"""The artifacts of the runs of this process, by path; the last run goes on."""


@contextmanager
def keeping() -> Iterator[None]:
    """Keep artifacts in this context, and forget them at its end."""
    _runs.append(OrderedDict())
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


def keep(path: UPath, kept: Kept, arrays: Arrays | None) -> None:
    """Keep an artifact that was just written to, or read from, a file.

    Parameters
    ----------
    path : UPath
    kept : Kept
        Without a signature, nothing cheap tells whether the file was replaced, and it is not kept.
    arrays : dict of arrays or None
        All that it consists of; it is not kept without them.
    """
    if not _runs or arrays is None or kept.signature is None:
        return
    for array in arrays.values():
        array.flags.writeable = False
    _runs[-1].pop(str(path), None)
    _runs[-1][str(path)] = kept
    sizes = sum(each.bytes for each in _runs[-1].values())
    while sizes > MAX_BYTES:
        sizes -= _runs[-1].popitem(last=False)[1].bytes


def find(path: UPath, wanted: Any) -> Kept | None:
    """The kept artifact of a file, where it is of the wanted class and the file is the same; None otherwise."""
    found = _runs[-1].get(str(path)) if _runs else None
    if found is None or found.signature != signature_of(path) or type(found.artifact) is not wanted:
        return None
    _runs[-1].move_to_end(str(path))
    return found
