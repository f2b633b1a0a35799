"""Files that a process has mapped into its memory.

Belongs here: whether the system lists them, as Linux does. Does not: claims.
"""

from __future__ import annotations

from pathlib import Path

import pytest

LISTED = pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="this system does not list the files that a process has mapped"
)


def mapped_files(pid: int | str = "self") -> str:
    """One line for each mapping, with the path of its file."""
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
