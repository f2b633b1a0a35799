"""The files of a dataset, and the hash of their content.

Belongs here: which file holds what, and the content hash. Does not: how a file is written (`file_format`), other
formats than MovieLens' CSV (`sources`), reading rows (`movies`, `ratings`), and which dataset is meant (`locate`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import (
    LINKS,
    MOVIE_COLUMNS,
    MOVIES,
    RATING_COLUMNS,
    RATINGS,
    DataFile,
    open_file,
)

_HASHED_BYTES = 4 << 20


@dataclass(frozen=True)
class MovieLensFiles:
    """The files of a dataset, in any format, ready to be read.

    Attributes
    ----------
    source : Path
        Names the dataset: its directory, an archive, or a directory within an archive.
    name : str
        Of the dataset.
    rating_file, movie_file : DataFile
    link_file : DataFile or None
        Ids at IMDb and TMDB; None where the dataset has none.
    beside : tuple of Path
        Further files that say how the movies are written.
    format : str
        Of the files, for messages.
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
        """Directory of the file of ratings that is read."""
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
        """The file of external ids that is read."""
        return self.link_file.path if self.link_file else None

    @property
    def catalogue(self) -> tuple[Path, ...]:
        """Every file with data about movies."""
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


class ContentDigest:
    """SHA-256 of the content of a file and of its first bytes, computed while the file is read.

    Parameters
    ----------
    prefix : int
        Number of first bytes with a separate digest.

    Attributes
    ----------
    length : int
        Bytes so far.
    of_prefix : bytes or None
        Digest of the first bytes; None until all of them were added.
    """

    def __init__(self, prefix: int = 0) -> None:
        self._prefix = prefix
        self._hash = hashlib.sha256()
        self.length = 0
        self.of_prefix: bytes | None = None

    def update(self, data: bytes | memoryview) -> None:
        """Add the next bytes."""
        view, missing = memoryview(data), self._prefix - self.length
        if 0 < missing <= len(view):
            self._hash.update(view[:missing])
            self.of_prefix = self._hash.digest()
            self.length, view = self._prefix, view[missing:]
        self._hash.update(view)
        self.length += len(view)

    def digest(self) -> bytes:
        """Digest of all bytes so far."""
        return self._hash.digest()


def digest_of(path: Path, prefix: int = 0) -> ContentDigest:
    """Digests of a whole file and of its first `prefix` bytes."""
    digest = ContentDigest(prefix)
    with open_file(path) as stream:
        while block := stream.read(_HASHED_BYTES):
            digest.update(block)
    return digest


def content_hash(*paths: Path) -> str:
    """SHA-256 over the contents of files, in the order given; see `combined_hash`."""
    return combined_hash(*(digest_of(path).digest() for path in paths))


def combined_hash(*digests: bytes) -> str:
    """The content hash of files with these digests.

    Each file enters as its own digest, so moving bytes from the end of one file to the start of the next changes the
    result.
    """
    return hashlib.sha256(b"".join(digests)).hexdigest()
