"""CSV tables that ship with the package.

Belongs here: reading one. Does not: the meaning of its columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib import resources


def rows_of(name: str) -> Iterator[dict[str, str]]:
    """Rows of a file in this directory, by the names of its columns."""
    source = resources.files("movierec_assets") / "datasets" / name
    yield from csv.DictReader(source.read_text(encoding="utf-8").splitlines())
