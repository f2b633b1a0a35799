"""The file of a backup: a zip archive of files and their manifest.

Belongs here: writing an archive whole or not at all, and reading one with the hash of each file compared. Does not: the
files in it (`making`, `restoring`).

Members are not compressed: dumps are already, and factors of models hardly get smaller. The manifest is the last
member, and the directory of a zip file is at its end, so an archive that was cut short is recognized at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from movierec_assets.backup.errors import BackupError, DamagedBackupError
from movierec_assets.backup.manifest import Manifest, Member

MANIFEST = "manifest.json"
CHUNK = 1 << 20
_PART = ".movierec-part"
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, KeyError, ValueError, RuntimeError)
"""What `zipfile` raises for a changed byte: RuntimeError where a file seems to have a password, and its subclass
NotImplementedError where it seems to be of another compression or a later format."""
_LEFT_SECONDS = 86_400
"""A part that is older belongs to a process that was killed."""


class Hashing(Protocol):
    """A file that hashes its content."""

    def write(self, data: bytes, /) -> object:
        """Write all bytes."""
        ...


class _HashingFile:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes, /) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)

    @property
    def member(self) -> Member:
        return Member(bytes=self._bytes, sha256=self._hash.hexdigest())


class ArchiveWriter:
    """A new archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.members: dict[str, Member] = {}

    @contextmanager
    def member(self, name: str) -> Iterator[Hashing]:
        """A file to write into."""
        with self._archive.open(zipfile.ZipInfo(name, _ZIP_TIME), "w", force_zip64=True) as file:
            hashing = _HashingFile(file)
            yield hashing
        self.members[name] = hashing.member

    def add(self, name: str, source: IO[bytes]) -> None:
        """Copy a file."""
        with self.member(name) as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)

    def finish(self, manifest: Manifest) -> Manifest:
        """Write the manifest with the hashes of all members; returns it."""
        whole = manifest.model_copy(update={"members": self.members})
        self._archive.writestr(zipfile.ZipInfo(MANIFEST, _ZIP_TIME), whole.model_dump_json(indent=1))
        return whole


_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The format needs a time; that of the backup is in the manifest."""


@contextmanager
def writing(path: Path, *, overwrite: bool = False) -> Iterator[ArchiveWriter]:
    """Write an archive beside its place, compare it with its hashes, and move it there when the block ends.

    Raises
    ------
    BackupError
        When the file exists, or cannot be written, as on a full disk. Nothing is left of it.
    """
    if path.is_dir():
        raise BackupError(f"{path} is a directory; name a file in it, as in {path / 'movierec.zip'}.")
    if path.exists() and not overwrite:
        raise BackupError(f"{path} exists already, and was not overwritten. Name another file, or use --force.")
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{_PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        with part.open("xb") as file:
            part.chmod(0o600)  # ratings of people
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                yield ArchiveWriter(archive)
            file.flush()
            os.fsync(file.fileno())
        with reading(part) as written:
            written.verify()
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise BackupError(
            f"{path} could not be written: {error}{_space(path.parent)}. Nothing of it is left. Make "
            "room, or name a file in another directory."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _remove_left(path: Path) -> None:
    """Remove parts of archives that a killed process left."""
    for left in path.parent.glob(f".*{_PART}"):
        with suppress(FileNotFoundError):
            if left.name.startswith(f".{path.name}.") or time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


def _sync(directory: Path) -> None:
    with suppress(OSError):  # not every file system can
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _space(directory: Path) -> str:
    with suppress(OSError):
        return f" ({shutil.disk_usage(directory).free / 1e6:,.0f} MB are free)"
    return ""


class Archive:
    """An archive that is read."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._archive = archive

    @contextmanager
    def member(self, name: str) -> Iterator[IO[bytes]]:
        """A file in the archive."""
        with self._archive.open(name) as file:
            yield file

    def verify(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Compare the hash of every file with the manifest.

        Raises
        ------
        DamagedBackupError
            The message names the first file that differs.
        """
        total = sum(member.bytes for member in self.manifest.members.values())
        done = 0
        for name, expected in self.manifest.members.items():
            found = hashlib.sha256()
            try:
                with self._archive.open(name) as file:
                    while chunk := file.read(CHUNK):
                        found.update(chunk)
                        done += len(chunk)
                        progress(done, total)
            except _UNREADABLE as error:
                raise _damaged(self.path, f"{name} cannot be read ({error})") from error
            if found.hexdigest() != expected.sha256:
                raise _damaged(self.path, f"{name} differs from its hash")


@contextmanager
def reading(path: Path) -> Iterator[Archive]:
    """Open an archive; its files are not verified yet.

    Raises
    ------
    BackupError
        When it is not there, or a newer version wrote it.
    DamagedBackupError
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}. Name the file of a backup.") from error
    with file:
        try:
            archive = zipfile.ZipFile(file)
            text = archive.read(MANIFEST)
        except _UNREADABLE as error:
            raise _damaged(path, str(error).strip("'\" .") or "its end is missing") from error
        manifest = Manifest.read(text, path)
        for name in manifest.members:
            _require_inside(path, name)
        yield Archive(path, archive, manifest)


def _require_inside(path: Path, name: str) -> None:
    """Refuse names that lead out of the directory they are unpacked into."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise _damaged(path, f"it holds the name {json.dumps(name)}")


def _damaged(path: Path, fault: str) -> DamagedBackupError:
    return DamagedBackupError(
        f"{path} is no whole backup: {fault}. It was cut short or changed, or is another file. Copy it again from "
        "where it was made, or take an earlier backup. Nothing was restored."
    )
