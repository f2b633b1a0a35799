"""The storage of matrices and Parquet files: a directory, or any other place that fsspec knows.

Belongs here: copies of the files as they are, and exchanging all of them. Does not: the lock under which they are
copied (`moment`), databases that are exchanged with them (`restoring`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from upath import UPath

from movierec_assets.backup.errors import BackupError
from movierec_assets.settings import Settings

UNPACKED = ".restoring-"
"""Beginning of the names of directories that a restore makes and removes."""
KEPT = "storage-before-restore-"
"""The same for former files that could not be put back; nothing removes them."""
_CHANGES = (
    *("size", "created", "mtime", "modified", "modify", "updated", "generation", "last_modified", "LastModified"),
    *("last_write_time", "etag", "ETag"),
)
"""What file systems call size, time and content of a file; they change when the file is replaced."""


class Storage(Protocol):
    """A place of files."""

    def signatures(self) -> dict[str, tuple[Any, ...]]:
        """Each whole file, by its name in the storage, with values that change when it is replaced."""

    def copy_to(self, directory: Path) -> None:
        """Copy all whole files, or link them where that is possible.

        Raises
        ------
        BackupError
        """

    def exchanged(self, source: Path, state: Path) -> AbstractContextManager[None]:
        """Put the files of a directory in place of all that are there; put these back when the block fails.

        Replaced files are kept aside until `forget`, so that nothing takes long or fails after the block.

        Parameters
        ----------
        source : Path
            Its files may be moved.
        state : Path
            The state directory.

        Raises
        ------
        BackupError
        """

    def forget(self, state: Path) -> None:
        """Remove the files that an exchange replaced, once nothing can be undone any more."""


def storage_of(settings: Settings) -> Storage:
    """The storage of the settings."""
    directory = settings.local_storage
    return UrlStorage(settings.storage) if directory is None else DirectoryStorage(directory)


class DirectoryStorage:
    """A directory on this machine.

    Parameters
    ----------
    directory : Path
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __str__(self) -> str:
        return str(self._directory)

    def signatures(self) -> dict[str, tuple[Any, ...]]:
        """Each whole file with its identity, time and size."""
        found = {}
        for path in visible_files(self._directory):
            with suppress(FileNotFoundError):
                state = path.stat()
                found[str(path)] = (state.st_ino, state.st_mtime_ns, state.st_size)
        return found

    def copy_to(self, directory: Path) -> None:
        """Link all whole files: the platform replaces files and never changes them."""
        link_tree(self._directory, directory)

    @contextmanager
    def exchanged(self, source: Path, state: Path) -> Iterator[None]:
        """Rename the entries of the directory, which stays in place: it may be a mount point, or a link."""
        target = self._directory
        made = not target.exists()
        target.mkdir(parents=True, exist_ok=True)
        # Inside its place, which may be on another disk than the state.
        beside = Path(tempfile.mkdtemp(prefix=UNPACKED, dir=target))
        former = beside / "former"
        try:
            former.mkdir()
            fresh = Path(shutil.move(source, beside / "fresh"))
            names = {path.name for path in fresh.iterdir()}
            replaced = [path for path in target.iterdir() if not _is_of_the_disk(path)]
            try:
                for path in replaced:
                    path.rename(former / path.name)
                for name in names:
                    (fresh / name).rename(target / name)
                yield
            except BaseException as error:
                self._put_back(beside, names, state, error)
                raise
        except BaseException:
            if not _has_entries(former):
                shutil.rmtree(beside, ignore_errors=True)
            if made:
                with suppress(OSError):  # others have put files there
                    target.rmdir()
            raise

    def forget(self, state: Path) -> None:
        """Remove what the exchange moved aside inside the directory."""
        _remove_unpacked(self._directory)

    def _put_back(self, beside: Path, names: set[str], state: Path, cause: BaseException) -> None:
        """Undo the renames that were made; which ones, the directories tell."""
        target, fresh, former = self._directory, beside / "fresh", beside / "former"
        try:
            for name in names:
                if os.path.lexists(target / name) and not os.path.lexists(fresh / name):
                    (target / name).rename(fresh / name)
            for path in list(former.iterdir()):
                path.rename(target / path.name)
        except BaseException as error:  # noqa: BLE001 -- also when it is interrupted
            raise _not_put_back(self, former, state, cause, error) from cause


class UrlStorage:
    """Files at an fsspec URL, as in a bucket. Nothing there can be renamed in one step, nor linked.

    Parameters
    ----------
    url : str
    """

    def __init__(self, url: str) -> None:
        self._url = UPath(url)
        self._files = self._url.fs
        self._base = self._url.path.rstrip("/")

    def __str__(self) -> str:
        """The URL without user and password."""
        protocol, _, rest = str(self._url).partition("://")
        place, slash, path = rest.partition("/")
        return f"{protocol}://{place.rpartition('@')[2]}{slash}{path}"

    def signatures(self) -> dict[str, tuple[Any, ...]]:
        """Each whole file with its size, time and content tag, as far as the file system tells them."""
        return {name: changes for name, changes in self._all().items() if not _is_unfinished(name)}

    def copy_to(self, directory: Path) -> None:
        """Download all whole files."""
        self._download(self.signatures(), directory)

    @contextmanager
    def exchanged(self, source: Path, state: Path) -> Iterator[None]:
        """Download what is there, remove it, and upload the files of the source."""
        former = Path(tempfile.mkdtemp(prefix=UNPACKED, dir=state))
        try:
            self._download(self._all(), former)
        except BaseException:
            shutil.rmtree(former, ignore_errors=True)
            raise
        try:
            self._replace_all(source)
            yield
        except BaseException as error:
            self._put_back(former, state, error)
            raise

    def forget(self, state: Path) -> None:
        """Remove what was downloaded."""
        _remove_unpacked(state)

    def _put_back(self, former: Path, state: Path, cause: BaseException) -> None:
        try:
            self._replace_all(former)
        except BaseException as error:  # noqa: BLE001 -- also when it is interrupted
            raise _not_put_back(self, former, state, cause, error) from cause
        shutil.rmtree(former, ignore_errors=True)

    def _replace_all(self, source: Path) -> None:
        with self._explained("replaced"):
            for name in self._all():
                self._files.rm_file(f"{self._base}/{name}")
            for path in sorted(path for path in source.rglob("*") if path.is_file()):
                place = f"{self._base}/{path.relative_to(source).as_posix()}"
                self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(path), place)

    def _all(self) -> dict[str, tuple[Any, ...]]:
        with self._explained("listed"):
            self._files.invalidate_cache()
            found = self._files.find(self._base, detail=True)
            return {
                path.removeprefix(f"{self._base}/"): tuple(str(about.get(each)) for each in _CHANGES)
                for path, about in sorted(found.items())
            }

    def _download(self, names: dict[str, tuple[Any, ...]], directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with self._explained("read"):
            for name in names:
                place = directory / name
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    self._files.get_file(f"{self._base}/{name}", str(place))
                except FileNotFoundError:  # removed since it was listed
                    place.unlink(missing_ok=True)

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each file system has errors of its own
            raise BackupError(
                f"The files at {self} (MOVIEREC_STORAGE_URL) could not be {done}: {error or type(error)}. See "
                "that the place answers, that this account may write there, and that the disk has room."
            ) from error


def link_tree(source: Path, target: Path) -> None:
    """Link all files of a directory that are whole; copies where the file system has no links."""
    target.mkdir(parents=True, exist_ok=True)
    for path in visible_files(source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except FileNotFoundError:
            continue  # removed since it was listed
        except OSError:
            shutil.copy2(path, place)


def visible_files(directory: Path) -> list[Path]:
    """Files under a directory; not those that are being written.

    Their names, or those of directories around them, begin with a dot.
    """
    if not directory.is_dir():
        return []
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file() and not _is_unfinished(path.relative_to(directory).as_posix())
    )


def _is_unfinished(name: str) -> bool:
    """Whether a name in a storage has a part that begins with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _is_of_the_disk(path: Path) -> bool:
    """Whether an entry belongs to the file system at a mount point, or is a directory of a restore."""
    return path.name == "lost+found" or (path.name.startswith(".") and path.is_dir())


def _has_entries(directory: Path) -> bool:
    return directory.is_dir() and any(directory.iterdir())


def _remove_unpacked(directory: Path) -> None:
    for path in directory.glob(f"{UNPACKED}*"):
        shutil.rmtree(path, ignore_errors=True)


def _not_put_back(
    storage: Storage, former: Path, state: Path, cause: BaseException, error: BaseException
) -> BackupError:
    """Move former files to where nothing removes them; where that fails, they stay. The error says where they are."""
    kept = former
    with suppress(OSError):
        place = Path(tempfile.mkdtemp(prefix=KEPT, dir=state))
        place.rmdir()
        kept = Path(shutil.move(former, place))
    return BackupError(
        f"The restore failed ({cause}), and the former files of {storage} could not be put back: {error} "
        f"They are in {kept}: copy them there, or restore again with `--force`."
    )
