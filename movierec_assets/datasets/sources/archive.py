"""Zip archives: the folders in them, and unpacking the files of one.

Belongs here: looking into an archive, and unpacking. Members are looked up by the names of a format and written to
paths made here, so that no member can be written outside. Does not: keeping the copies (`unpacked`).
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.sources.unpacked import copy_within_space, kept_copy, require_space

# Beside damage: NotImplementedError for a compression that zipfile does not know, RuntimeError for a password.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_ENCRYPTED = 0x1
"""Bit of a member's flags."""
_HEAD = 1_024
_MAGIC = b"PK\x03\x04"
_IGNORED = "__MACOSX"


@dataclass(frozen=True)
class ZipFolder:
    """A folder in an archive.

    Attributes
    ----------
    archive : Path
    inner : str
        Path within the archive; empty for its root.
    members : dict
        Every member that may be read, by folder and name.
    """

    archive: Path
    inner: str
    members: dict[str, dict[str, zipfile.ZipInfo]]

    @classmethod
    def root(cls, archive: Path) -> ZipFolder:
        """Open an archive.

        Raises
        ------
        DatasetError
            If it is damaged.
        """
        members: dict[str, dict[str, zipfile.ZipInfo]] = {"": {}}
        try:
            with zipfile.ZipFile(archive) as source:
                infos = source.infolist()
        except (OSError, *_UNREADABLE) as error:
            raise _damaged(archive, error) from error
        for info in infos:
            path = PurePosixPath(info.filename.replace("\\", "/"))
            folders = path.parts[:-1]
            if info.is_dir() or path.is_absolute() or any(_hidden(part) for part in path.parts):
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                continue
            for depth in range(len(folders) + 1):
                members.setdefault("/".join(folders[:depth]), {})
            members["/".join(folders)][path.name] = info
        return cls(archive, "", members)

    @property
    def shown(self) -> Path:
        """Path of the folder in messages."""
        return self.archive / self.inner if self.inner else self.archive

    @property
    def name(self) -> str:
        """Name of the dataset in it."""
        return PurePosixPath(self.inner).name or self.archive.stem

    def names(self) -> Collection[str]:
        """Names of its files."""
        return self.members.get(self.inner, {}).keys()

    def folders(self) -> Iterator[ZipFolder]:
        """The folders in it."""
        for inner in sorted(self.members):
            parent = str(PurePosixPath(inner).parent).removeprefix(".")
            if inner and parent == self.inner:
                yield ZipFolder(self.archive, inner, self.members)

    def folder(self, inner: str) -> ZipFolder | None:
        """A folder by its path within the archive; None where there is none."""
        return ZipFolder(self.archive, inner, self.members) if inner in self.members else None

    def size(self, name: str) -> int:
        """Bytes of a file, unpacked."""
        return self.members[self.inner][name].file_size

    def head(self, name: str, size: int) -> bytes:
        """The first bytes of a file."""
        try:
            with zipfile.ZipFile(self.archive) as source, source.open(self.members[self.inner][name]) as stream:
                return stream.read(size)
        except (OSError, *_UNREADABLE):
            return b""

    def bring(self, names: Collection[str], cache: Path) -> Path:
        """A directory with the unpacked files.

        Raises
        ------
        DatasetError
            If a member is damaged or protected by a password, or the disk is too small.
        """
        chosen = sorted(names)
        if any(self.members[self.inner][name].flag_bits & _ENCRYPTED for name in chosen):
            raise DatasetError(
                f"{self.archive}: the archive is protected by a password. Unpack it, then name the directory."
            )

        def unpack(target: Path) -> None:
            require_space(target, sum(map(self.size, chosen)), self.archive)
            try:
                with zipfile.ZipFile(self.archive) as source:
                    for name in chosen:
                        member = self.members[self.inner][name]
                        # zipfile reads at most the stated size of a member, and compares its checksum.
                        with source.open(member) as packed, (target / name).open("wb") as out:
                            copy_within_space(packed, out, self.archive, target)
            except _UNREADABLE as error:
                raise _damaged(self.archive, error) from error

        return kept_copy(cache, self.archive, "/".join([self.inner, *chosen]), unpack)


def broken(path: Path) -> DatasetError | None:
    """The error for a file that should be a zip archive and is none.

    Returns
    -------
    DatasetError or None
        None where the list of members can be found, or where neither name nor first bytes are those of an archive.
    """
    if zipfile.is_zipfile(path):
        return None
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        return DatasetError(f"{path}: cannot be read ({error.strerror or error}).")
    if path.suffix.lower() != ".zip" and not head.startswith(_MAGIC):
        return None
    if not head:
        fault = "the archive is empty (0 bytes). Fetch it again."
    elif head.startswith(_MAGIC):
        fault = "the archive is damaged or cut off: its end is missing. Fetch it again."
    elif head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        fault = (
            "this is a web page and not an archive. The server sent it instead of the file, for example to ask for a "
            "login; open the file to see why, then fetch the archive again."
        )
    else:
        fault = "not a zip archive by its content. It is damaged, or a file of another kind; fetch it again."
    return DatasetError(f"{path}: {fault}")


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == _IGNORED


def _damaged(archive: Path, error: Exception) -> DatasetError:
    if isinstance(error, NotImplementedError):
        remedy = "Unpack it with another program, then name the directory."
    else:
        remedy = "It is damaged; fetch it again."
    return DatasetError(f"{archive}: the archive cannot be unpacked ({error}). {remedy}")
