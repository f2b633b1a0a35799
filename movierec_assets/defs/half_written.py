"""Files of a dataset that somebody is still writing.

Belongs here: whether files are complete, by their times, sizes and ends. Does not: what happens to complete files
(`catch_up`, `ingestion`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from movierec_assets.datasets.layout import MovieLensFiles

QUIET = timedelta(seconds=20)
"""Files that did not change for this long are complete."""
QUIET_IN_A_LINE = timedelta(minutes=5)
"""The same where the last line has no end: the writer may be waiting in the middle of it, as for a slow network."""
LONGEST_WAIT = timedelta(minutes=30)
_LOOK_SECONDS = 5.0


def stamp_of(files: MovieLensFiles | None) -> str:
    """Paths, sizes and times of a dataset's files, which are not read; None where there are no files."""
    return json.dumps([[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in _watched(files)])


def being_written(files: MovieLensFiles | None, since: datetime, now: datetime, quiet: timedelta = QUIET) -> str | None:
    """Why files are left alone for now; None when they are complete.

    Parameters
    ----------
    files : MovieLensFiles or None
    since : datetime
        When they were first seen as they are now.
    now : datetime
    quiet : timedelta
        Time without a change after which they are complete.
    """
    for path in _watched(files):
        # The earlier of both: a file that was moved here is complete, and times of another clock may be in the future.
        unchanged = min(since, datetime.fromtimestamp(path.stat().st_mtime, UTC))
        needed = quiet if ends_with_a_line(path) else max(quiet, QUIET_IN_A_LINE if quiet else quiet)
        if now < unchanged + needed:
            return f"{path} may still be written: it changed {(now - unchanged).total_seconds():.0f} s ago."
    return None


def ends_with_a_line(path: Path) -> bool:
    """Whether the last byte of a text file ends a line; True for an empty file, an archive and a binary file."""
    if path.suffix.casefold() not in (".csv", ".dat", ".data", ".tsv", ".txt", ".item"):
        return True
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) in b"\r\n"


def wait_until_complete(
    locate: Callable[[], MovieLensFiles | None], log: Callable[[str], None], quiet: timedelta = QUIET
) -> MovieLensFiles | None:
    """The files that `locate` finds, as soon as nobody writes them; at the latest after half an hour."""
    files = locate()
    begun = since = datetime.now(UTC)
    stamp, said = stamp_of(files), False
    while (reason := being_written(files, since, now := datetime.now(UTC), quiet)) and now < begun + LONGEST_WAIT:
        if not said:
            log(reason)
            said = True
        time.sleep(_LOOK_SECONDS)
        files = locate()
        if stamp_of(files) != stamp:
            stamp, since = stamp_of(files), datetime.now(UTC)
    return files


def _watched(files: MovieLensFiles | None) -> list[Path]:
    return [] if files is None else [files.ratings, *files.catalogue]
