"""The files of a dataset, and the hash of what is in them.

Belongs here: which file holds what, and the content hash. Does not: how a file is written (`tables`), other
formats than MovieLens' CSV (`sources`), reading rows (`movies`, `ratings`), and which dataset is meant (`locate`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.tables import LINKS, MOVIE_COLUMNS, MOVIES, RATING_COLUMNS, RATINGS, DataFile, open_file

_HASHED_BYTES = 4 << 20


@dataclass(frozen=True)
class MovieLensFiles:
    """The files of a dataset, in whatever format, ready to be read.

    Attributes
    ----------
    source : Path
        What names the dataset: its directory, an archive, or the place of a directory within an archive.
    name : str
        Of the dataset.
    rating_file, movie_file : DataFile
    link_file : DataFile or None
        Ids at IMDb and TMDB; None where the dataset has none.
    beside : tuple of Path
        Further files that tell how the movies are written.
    format : str
        Of the files, for people.
    """

    source: Path
    name: str
    rating_file: DataFile
    movie_file: DataFile
    link_file: DataFile | None
    beside: tuple[Path, ...] = ()
    format: str = "MovieLens CSV"

    @property
    def directory(self) -> Path:
        """Where the ratings are read."""
        return self.rating_file.path.parent

    @property
    def ratings(self) -> Path:
        """The file of ratings that is read."""
        return self.rating_file.path

    @property
    def movies(self) -> Path:
        """The file of movies that is read."""
        return self.movie_file.path

    @property
    def links(self) -> Path | None:
        """The file of ids elsewhere that is read."""
        return self.link_file.path if self.link_file else None

    @property
    def catalogue(self) -> tuple[Path, ...]:
        """Every file that says something of the movies."""
        return self.movies, *([self.links] if self.links else []), *self.beside

    @classmethod
    def at(cls, path: Path) -> MovieLensFiles:
        """Find the files of a dataset in MovieLens' CSV layout in a directory.

        Raises
        ------
        DatasetError
            If the directory, `ratings.csv` or `movies.csv` is missing.
        """
        if not path.is_dir():
            what = "is a file" if path.exists() else "does not exist"
            raise DatasetError(f"{path}: {what}; expected a directory that holds ratings.csv and movies.csv.")
        missing = [name for name in ("ratings.csv", "movies.csv") if not (path / name).is_file()]
        if missing:
            raise DatasetError(
                f"{path}: {' and '.join(missing)} missing. A directory in MovieLens layout holds ratings.csv "
                f"({','.join(RATING_COLUMNS)}) and movies.csv ({','.join(MOVIE_COLUMNS)}); unpack the archive again "
                "or name another directory."
            )
        links = path / "links.csv"
        return cls(
            path,
            path.name,
            DataFile.plain(path / "ratings.csv", RATINGS),
            DataFile.plain(path / "movies.csv", MOVIES),
            DataFile.plain(links, LINKS) if links.is_file() else None,
        )

    @classmethod
    def present_in(cls, path: Path) -> bool:
        """Whether a directory holds both files that a dataset needs."""
        return (path / "ratings.csv").is_file() and (path / "movies.csv").is_file()


def content_hash(*paths: Path) -> str:
    """SHA-256 over the contents of files, in the order given.

    Each file enters as its own digest, so moving bytes from the end of one file to the start of the next
    changes the result.
    """
    return combined_hash(*(file_digests(path, 0)[1] for path in paths))


def file_digests(path: Path, prefix: int) -> tuple[bytes | None, bytes, int]:
    """SHA-256 digests of the first `prefix` bytes of a file, None where it is shorter, and of all of it; its length."""
    whole, length, first = hashlib.sha256(), 0, None
    with open_file(path) as stream:
        while block := stream.read(min(_HASHED_BYTES, prefix - length) if length < prefix else _HASHED_BYTES):
            whole.update(block)
            length += len(block)
            if length == prefix:
                first = whole.digest()
    return first, whole.digest(), length


def combined_hash(*digests: bytes) -> str:
    """The content hash of files with these digests."""
    return hashlib.sha256(b"".join(digests)).hexdigest()
