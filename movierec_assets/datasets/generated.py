"""Directories of generated data: recognized by their README.txt, and put in place whole or not at all.

Belongs here: the directory of the demo set and of generated sets. Does not: the content of the tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

DEMO_NAME = "demo"
"""Name of the demo set wherever a dataset is named."""

MOVIES_FILE = "movies.csv"
RATINGS_FILE = "ratings.csv"
README_FILE = "README.txt"


def marker_of(target: Path) -> str:
    """First line of a directory's README.txt, which names the generated set; empty without one."""
    try:
        with (target / README_FILE).open(encoding="utf-8", errors="replace") as readme:
            return readme.readline().rstrip("\n")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def is_complete(target: Path, marker: str) -> bool:
    """Whether `target` holds the marked set with every byte in place."""
    if marker_of(target) != marker:
        return False
    lines = (target / README_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        return lines[-2:] == _digests(target)
    except (FileNotFoundError, NotADirectoryError):
        return False


def put_in_place(target: Path, marker: str, write: Callable[[Path], str]) -> None:
    """Make a set in a hidden directory beside `target`, then move it there; it replaces what `target` held.

    Parameters
    ----------
    target : Path
        Directory to make. The caller has checked that its present content may be deleted.
    marker : str
        First line of README.txt, which `is_complete` compares.
    write : callable
        Writes `movies.csv` and `ratings.csv` into a given directory, and returns the text of README.txt.

    Notes
    -----
    An interrupted call leaves the old content or nothing. A killed process may also leave its hidden scratch
    directory, which nothing reads.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        about = write(fresh)
        # Last, because it holds the digests of the other files.
        text = "\n".join((marker, "", about.strip("\n"), "", *_digests(fresh), ""))
        (fresh / README_FILE).write_text(text, encoding="utf-8", newline="\n")
        with contextlib.suppress(FileNotFoundError):
            os.replace(target, Path(scratch) / "old")
        try:
            os.replace(fresh, target)
        except OSError:
            # Another process may have put the same set there first.
            if not is_complete(target, marker):
                raise


def _digests(directory: Path) -> list[str]:
    lines = []
    for name in (MOVIES_FILE, RATINGS_FILE):
        with (directory / name).open("rb") as stream:
            lines.append(f"sha256 {hashlib.file_digest(stream, 'sha256').hexdigest()} {name}")
    return lines
