"""The description of a format.

Belongs here: the classes that each format's module fills in, and recognizing files by their names. Does not: opening
files (`find`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.file_format import Table
from movierec_assets.datasets.sources.compressed import SUFFIXES


@dataclass(frozen=True)
class FileKind:
    """One of the files of a format.

    Attributes
    ----------
    name : str
    table : Table
        How it is written, or how `as_csv` writes it.
    as_csv : callable or None
        Writes the file at the first path as text to the second path; messages name the third path. None for text.
    """

    name: str
    table: Table
    as_csv: Callable[[Path, Path, Path], None] | None = None

    def among(self, names: Collection[str]) -> str | None:
        """The name of the file among others, plain or compressed; None without it."""
        return next((self.name + suffix for suffix in ("", *SUFFIXES) if self.name + suffix in names), None)


@dataclass(frozen=True)
class Format:
    """Files that make a dataset.

    Attributes
    ----------
    name : str
        In messages.
    ratings, movies : FileKind
    links : FileKind or None
    flag_names : str or None
        File with the names of the genres, where movies have a flag for each.
    mixes : bool
        Whether files of other formats that mix may complete it: their columns have the same names.
    """

    name: str
    ratings: FileKind
    movies: FileKind
    links: FileKind | None = None
    flag_names: str | None = None
    mixes: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Names of its files."""
        kinds = [kind.name for kind in (self.ratings, self.movies, self.links) if kind is not None]
        return frozenset([*kinds, self.flag_names] if self.flag_names else kinds)

    @property
    def files(self) -> str:
        """Names of its files, for messages."""
        needed = f"{self.ratings.name}, {self.movies.name}"
        return f"{needed}, perhaps {self.links.name}" if self.links else needed
