"""Finding the dataset at a path: a directory, a file in it, an archive, or a folder in an archive.

Belongs here: the list of formats, recognizing them, and the message when there is no dataset. Does not: which dataset
is meant (`locate`), reading rows.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.exports import export_beginning, export_named
from movierec_assets.datasets.file_format import DataFile
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.sources.archive import ZipFolder, broken
from movierec_assets.datasets.sources.compressed import SUFFIXES, decompress, head_of
from movierec_assets.datasets.sources.contract import FileKind, Format
from movierec_assets.datasets.sources.kaggle import KAGGLE
from movierec_assets.datasets.sources.movielens_100k import MOVIELENS_100K, named
from movierec_assets.datasets.sources.movielens_csv import MOVIELENS_CSV
from movierec_assets.datasets.sources.movielens_dat import MOVIELENS_DAT
from movierec_assets.datasets.sources.parquet import PARQUET
from movierec_assets.datasets.sources.unpacked import kept_copy

FORMATS = (MOVIELENS_CSV, KAGGLE, MOVIELENS_DAT, MOVIELENS_100K, PARQUET)
"""In the order in which they are tried."""

_DEPTH = 2
"""Levels of folders that are searched."""
_HEAD = 4_096
_TEXTS = (".csv", ".tsv", ".txt", *(f".{kind}{suffix}" for kind in ("csv", "tsv", "txt") for suffix in SUFFIXES))
_MAX_TEXTS = 50
_OTHER_ARCHIVES = (".tar", ".tgz", ".tar.gz", ".7z", ".rar", ".bz2", ".xz")


class Folder(Protocol):
    """A folder with files, on disk or in an archive."""

    @property
    def shown(self) -> Path:
        """Path in messages; `find` finds the folder by it again."""

    @property
    def name(self) -> str:
        """Name of the dataset in it."""

    def names(self) -> Collection[str]:
        """Names of its files."""

    def folders(self) -> Iterable[Folder]:
        """The folders in it."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def head(self, name: str, size: int) -> bytes:
        """The first bytes of a file."""

    def bring(self, names: Collection[str], cache: Path) -> Path:
        """A directory in which files can be read."""


@dataclass(frozen=True)
class Directory:
    """A directory on disk."""

    shown: Path

    @property
    def name(self) -> str:
        """Name of the dataset in it."""
        return self.shown.resolve().name

    def names(self) -> Collection[str]:
        """Names of its files."""
        return {path.name for path in self._entries() if path.is_file()}

    def folders(self) -> Iterator[Folder]:
        """The directories in it; those that cannot be read are empty."""
        for path in self._entries():
            if path.is_dir() and not path.name.startswith("."):
                yield Directory(path)

    def archives(self) -> Iterator[Path]:
        """The zip archives in it."""
        return (path for path in self._entries() if path.suffix == ".zip" and path.is_file())

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return (self.shown / name).stat().st_size

    def head(self, name: str, size: int) -> bytes:
        """The first bytes of a file."""
        return head_of(self.shown / name, size)

    def bring(self, names: Collection[str], cache: Path) -> Path:
        """Itself."""
        return self.shown

    def _entries(self) -> list[Path]:
        try:
            return sorted(self.shown.iterdir())
        except OSError:
            return []


@dataclass(frozen=True)
class Found:
    """A dataset that was found, not opened.

    Attributes
    ----------
    folder : Folder
    format : Format
    ratings, movies : tuple of FileKind and str
        Kind and name of each file.
    links : tuple or None
    named : str or None
        Name of the file of ratings, where that file was chosen and the folder alone would mean another one.
    """

    folder: Folder
    format: Format
    ratings: tuple[FileKind, str]
    movies: tuple[FileKind, str]
    links: tuple[FileKind, str] | None
    named: str | None = None

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.folder.name

    @property
    def source(self) -> Path:
        """Path of the dataset; `find` finds it by this path again."""
        return self.folder.shown / self.named if self.named else self.folder.shown

    @property
    def rating_bytes(self) -> int:
        """Size of the file of ratings, packed or not."""
        return self.folder.size(self.ratings[1])

    def open(self, cache: Path) -> MovieLensFiles:
        """The files, ready to be read; packed ones are unpacked.

        Parameters
        ----------
        cache : Path
            Directory for unpacked copies.

        Raises
        ------
        DatasetError
            If a file cannot be unpacked.
        """
        flags = self.format.flag_names
        beside = [flags] if flags is not None and flags in self.folder.names() else []
        names = [name for _, name in filter(None, (self.ratings, self.movies, self.links))]
        directory = self.folder.bring([*names, *beside], cache)

        def opened(found: tuple[FileKind, str]) -> DataFile:
            kind, name = found
            shown = self.folder.shown / name
            return DataFile(_readable(kind, directory / name, shown, cache), shown, kind.table)

        movies = opened(self.movies)
        if beside:
            genres = (directory / beside[0]).read_text(encoding="latin-1")
            movies = replace(movies, table=replace(movies.table, flags=named(genres)))
        return MovieLensFiles(
            source=self.source,
            name=self.name,
            rating_file=opened(self.ratings),
            movie_file=movies,
            link_file=opened(self.links) if self.links else None,
            beside=tuple(directory / name for name in beside),
            format=self.format.name,
        )


def find(path: Path) -> Found:
    """Find the dataset at a path.

    Parameters
    ----------
    path : Path
        A directory with a dataset, or with one directory or archive with a dataset in it; a file of ratings in a
        directory; a zip archive; a folder in one.

    Raises
    ------
    DatasetError
        If there is none, or more than one; the message describes the content.
    """
    if path.is_dir():
        return _in_folder(Directory(path))
    if path.is_file():
        if zipfile.is_zipfile(path):
            return _in_folder(ZipFolder.root(path))
        if error := broken(path):
            raise error
        return _by_file(Directory(path.parent), path.name)
    for parent in path.parents:
        if parent.is_file():
            if zipfile.is_zipfile(parent):
                return _in_archive(ZipFolder.root(parent), path.relative_to(parent).as_posix())
            if error := broken(parent):
                raise error
    raise DatasetError(f"{path}: no such file or directory. Name a directory that holds ratings.csv and movies.csv.")


def present(path: Path) -> Found | None:
    """The dataset at a path; None where `find` refuses."""
    try:
        return find(path)
    except DatasetError:
        return None


def holds_movies(name: str) -> bool:
    """Whether a format has its movies in a file of this name."""
    return any(each.movies.among([name]) for each in FORMATS)


def recognized(folder: Folder, ratings: str | None = None) -> Found | None:
    """The dataset whose files are directly in a folder; None without one.

    `ratings` names the file that its ratings must be in.
    """
    names = folder.names()
    for each in FORMATS:
        name = each.ratings.among(names if ratings is None else [ratings])
        movies = _first(names, each, lambda other: other.movies) if name else None
        if name and movies:
            links = _first(names, each, lambda other: other.links)
            return Found(folder, each, (each.ratings, name), movies, links)
    return None


def _first(
    names: Collection[str], own: Format, part: Callable[[Format], FileKind | None]
) -> tuple[FileKind, str] | None:
    """The first file of a part of a dataset: in its own format, or in one that it mixes with."""
    for each in (own, *(other for other in FORMATS if own.mixes and other.mixes and other is not own)):
        kind = part(each)
        if kind is not None and (name := kind.among(names)):
            return kind, name
    return None


def _in_folder(folder: Folder) -> Found:
    """The dataset in a folder, or in the one folder or archive in it that holds one."""
    if found := recognized(folder):
        return found
    if not any(each.ratings.among(folder.names()) for each in FORMATS):
        inner = list(_below(folder, _DEPTH))
        if not inner and isinstance(folder, Directory):
            inner = [found for archive in folder.archives() if (found := present(archive)) is not None]
        if len(inner) == 1:
            return inner[0]
        if inner:
            raise DatasetError(
                f"{folder.shown}: holds {len(inner)} datasets. Choose one of them: "
                f"{', '.join(str(found.source) for found in inner)}."
            )
    raise _nothing_in(folder)


def _below(folder: Folder, depth: int) -> Iterator[Found]:
    for inner in folder.folders():
        if found := recognized(inner):
            yield found
        elif depth > 1:
            yield from _below(inner, depth - 1)


def _by_file(folder: Folder, name: str) -> Found:
    """The dataset that a file belongs to."""
    if found := recognized(folder, name):
        usual = recognized(folder)
        return found if usual is not None and usual.ratings == found.ratings else replace(found, named=name)
    around = recognized(folder)
    if around and name in (around.movies[1], around.links[1] if around.links else None, around.format.flag_names):
        return around
    path = folder.shown / name
    if any(each.ratings.among([name]) for each in FORMATS):
        raise _export_in(folder, [name]) or _incomplete(folder) or _nothing_in(folder)
    if name.lower().endswith(_OTHER_ARCHIVES):
        raise DatasetError(f"{path}: an archive that is not a zip. Unpack it, then name the directory.")
    known = ", ".join(each.ratings.name for each in FORMATS)
    raise _export_in(folder, [name]) or DatasetError(
        f"{path}: not a file of ratings by its name. Those are called {known}, and may end in "
        f"{' or '.join(SUFFIXES)} as well; a .zip archive can be named too."
    )


def _in_archive(root: ZipFolder, inner: str) -> Found:
    """The dataset in a folder of an archive, or that a file in it belongs to."""
    if folder := root.folder(inner):
        return _in_folder(folder)
    parent, _, name = inner.rpartition("/")
    folder = root.folder(parent)
    if folder is not None and name in folder.names():
        return _by_file(folder, name)
    raise DatasetError(f"{root.archive / inner}: the archive {root.archive.name} holds no {inner}.")


def _incomplete(folder: Folder) -> DatasetError | None:
    """The error for a folder with one half of a dataset; None where it has neither half."""
    names = folder.names()
    for each in FORMATS:
        for there, lacking in ((each.ratings, each.movies), (each.movies, each.ratings)):
            if there.among(names):
                return DatasetError(
                    f"{folder.shown}: {lacking.name} missing. A dataset in the format {each.name} holds {each.files}; "
                    f"here is only {there.among(names)}. Put it there, or unpack the archive again."
                )
    return None


def _export_in(folder: Folder, names: Iterable[str]) -> DatasetError | None:
    """The error for a folder with an export of another service; None without one."""
    texts = [name for name in sorted(names) if name.lower().endswith(_TEXTS)][:_MAX_TEXTS]
    export = export_named(texts)
    if export is not None:
        return DatasetError(f"{folder.shown}: {export.sentence}")
    for name in sorted(texts, key=lambda name: "rating" not in name.lower()):
        if export := export_beginning(folder.head(name, _HEAD)):
            return DatasetError(f"{folder.shown / name}: this is {export.sentence}")
    return None


def _nothing_in(folder: Folder) -> DatasetError:
    """The error for a folder without a dataset."""
    for each in (folder, *folder.folders()):
        if error := _export_in(each, each.names()) or _incomplete(each):
            return error
    if isinstance(folder, Directory):
        for archive in folder.archives():
            if error := broken(archive):
                return error
    formats = "; ".join(each.files for each in FORMATS)
    return DatasetError(
        f"{folder.shown}: no dataset there. One holds the files of a format: {formats}. Name a directory or a .zip "
        "archive that holds one, or a release (see `movierec data list`)."
    )


def _readable(kind: FileKind, path: Path, shown: Path, cache: Path) -> Path:
    """The text of a file: the file itself, or a copy that was unpacked."""
    if path.suffix in SUFFIXES:
        packed = path
        path = kept_copy(cache, packed, "", lambda to: decompress(packed, to / packed.stem, shown)) / packed.stem
    as_csv = kind.as_csv
    if as_csv is None:
        return path
    source, name = path, f"{path.stem}.csv"
    return kept_copy(cache, source, "csv", lambda to: as_csv(source, to / name, shown)) / name
