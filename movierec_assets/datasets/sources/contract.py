"""What a format is.

Belongs here: the description that each format's module fills in, and recognizing it by names of files. What does
not: opening files (`find`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.file_format import Table
from movierec_assets.datasets.sources.compressed import SUFFIXES


@dataclass(frozen=True)
class Kind:
    """One of the files of a format.

    Attributes
    ----------
    name : str
    table : Table
        How it is written; how `as_csv` writes it where that is given.
    as_csv : callable or None
        Writes the file at the first path as text at the second one, and names the third one in messages; None where it
        is text already.
    """

    name: str
    table: Table
    as_csv: Callable[[Path, Path, Path], None] | None = None

    def among(self, names: Collection[str]) -> str | None:
        """The name under which the file is there, as it is or compressed; None when it is not."""
        return next((self.name + suffix for suffix in ("", *SUFFIXES) if self.name + suffix in names), None)


@dataclass(frozen=True)
class Format:
    """Files that make a dataset.

    Attributes
    ----------
    name : str
        For people.
    ratings, movies : Kind
    links : Kind or None
    flag_names : str or None
        File that names the genres which the movies have as flags.
    mixes : bool
        Its files may stand beside those of other formats that mix: all have columns of the same names.
    """

    name: str
    ratings: Kind
    movies: Kind
    links: Kind | None = None
    flag_names: str | None = None
    mixes: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Names of its files."""
        kinds = [kind.name for kind in (self.ratings, self.movies, self.links) if kind is not None]
        return frozenset([*kinds, self.flag_names] if self.flag_names else kinds)

    @property
    def files(self) -> str:
        """Names of its files, for people."""
        needed = f"{self.ratings.name}, {self.movies.name}"
        return f"{needed}, perhaps {self.links.name}" if self.links else needed
