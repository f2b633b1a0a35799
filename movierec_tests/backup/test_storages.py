"""Copies of a storage, and exchanging its files: in a directory, and at a URL."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from upath import UPath

from movierec_assets.backup import restoring
from movierec_assets.backup.errors import BackupError
from movierec_assets.backup.storages import UNPACKED, Storage, UrlStorage, storage_of
from movierec_assets.settings import Settings

_NUMBERS = itertools.count()


class Used:
    """A storage with files, one of which is unfinished."""

    def __init__(self, state: Path, url: str) -> None:
        self.state = state
        self.storage: Storage = storage_of(Settings(state_dir=state, storage_url=url))
        self._base = UPath(url)
        self.write("train.npz", b"mine")
        self.write("deep/user.parquet", b"mine, too")
        self.write(".test.npz.half", b"ha")

    def write(self, name: str, content: bytes) -> None:
        """Write a file, or replace it, as the platform does."""
        path = self._base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.protocol == "memory":
            path.write_bytes(content)
            return
        beside = path.with_name(".beside")
        beside.write_bytes(content)
        os.replace(beside.path, path.path)

    @property
    def visible(self) -> dict[str, bytes]:
        """Content of the files that are not below a directory of a restore."""
        return {name: content for name, content in self.content.items() if not name.startswith(UNPACKED)}

    @property
    def content(self) -> dict[str, bytes]:
        files = (path for path in self._base.rglob("*") if path.is_file())
        return {path.relative_to(self._base).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def at_url(tmp_path: Path) -> Iterator[Used]:
    url = f"memory://storage-{next(_NUMBERS)}/matrices"
    yield Used(_made(tmp_path / "state"), url)
    UPath(url).parent.fs.rm(UPath(url).parent.path, recursive=True)


@pytest.fixture(params=["directory", "file URL", "URL"])
def used(request: pytest.FixtureRequest, tmp_path: Path) -> Used:
    if request.param == "URL":
        found: Used = request.getfixturevalue("at_url")
        return found
    prefix = "file://" if request.param == "file URL" else ""
    return Used(_made(tmp_path / "state"), f"{prefix}{tmp_path / 'a place' / 'matrices'}")


@pytest.fixture
def restored(tmp_path: Path) -> Path:
    """Files that replace those of a storage."""
    (tmp_path / "restored" / "other").mkdir(parents=True)
    (tmp_path / "restored" / "train.npz").write_bytes(b"restored")
    (tmp_path / "restored" / "other" / "new.npz").write_bytes(b"new")
    return tmp_path / "restored"


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def test_a_copy_has_all_whole_files(used: Used, tmp_path: Path) -> None:
    used.storage.copy_to(tmp_path / "copy")
    found = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.*")}
    assert found == {"train.npz", "deep/user.parquet"}
    assert (tmp_path / "copy" / "train.npz").read_bytes() == b"mine"


def test_signatures_differ_when_a_file_was_replaced_removed_or_added(used: Used) -> None:
    before = used.storage.signatures()
    assert len(before) == 2
    used.write(".test.npz.half", b"unfinished")
    assert used.storage.signatures() == before
    used.write("train.npz", b"four")
    replaced = used.storage.signatures()
    assert (replaced != before, replaced.keys()) == (True, before.keys())
    used.write("new.npz", b"")
    assert len(used.storage.signatures()) == 3


def test_a_storage_that_was_never_used_has_no_files(tmp_path: Path) -> None:
    for url in (str(tmp_path / "nothing"), f"memory://storage-{next(_NUMBERS)}"):
        storage = storage_of(Settings(state_dir=tmp_path, storage_url=url))
        assert storage.signatures() == {}
        storage.copy_to(tmp_path / "copy")
        assert list((tmp_path / "copy").iterdir()) == []


def test_an_exchange_leaves_only_the_new_files(used: Used, restored: Path) -> None:
    with used.storage.exchanged(restored, used.state):
        assert used.visible == {"train.npz": b"restored", "other/new.npz": b"new"}
        assert len(used.storage.signatures()) == 2
    used.storage.forget(used.state)
    assert used.content == {"train.npz": b"restored", "other/new.npz": b"new"}
    assert list(used.state.iterdir()) == []


def test_an_exchange_that_fails_leaves_the_former_files_and_no_others(used: Used, restored: Path) -> None:
    before = used.content
    with pytest.raises(KeyboardInterrupt), used.storage.exchanged(restored, used.state):
        raise KeyboardInterrupt
    assert used.content == before
    assert list(used.state.iterdir()) == []


def refuse_renames(
    monkeypatch: pytest.MonkeyPatch, calls: range, error: BaseException, *, when: str = "before"
) -> None:
    """Make the given calls of `Path.rename`, counted from 0, raise an error before or after they rename."""
    rename, seen = Path.rename, itertools.count()

    def refused(path: Path, place: Path) -> Path:
        fails = next(seen) in calls
        if fails and when == "before":
            raise error
        renamed = rename(path, place)
        if fails:
            raise error
        return renamed

    monkeypatch.setattr(Path, "rename", refused)


@pytest.mark.parametrize(
    ("error", "when"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "before"),
        (KeyboardInterrupt(), "before"),
        (KeyboardInterrupt(), "after"),
    ],
    ids=["full disk", "interrupted before", "interrupted after"],
)
def test_an_exchange_of_a_directory_that_fails_at_any_rename_leaves_the_former_files(
    error: BaseException, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 0
    while True:
        place = _made(tmp_path / f"{number}")
        used, source = Used(_made(place / "state"), str(place / "matrices")), _made(place / "restored")
        (source / "train.npz").write_bytes(b"restored")
        before = used.content
        with monkeypatch.context() as patched:
            refuse_renames(patched, range(number, number + 1), error, when=when)
            try:
                with used.storage.exchanged(source, used.state):
                    break  # it was not reached
            except type(error):
                pass
        assert used.content == before
        assert sorted(path.name for path in (place / "matrices").iterdir()) == [".test.npz.half", "deep", "train.npz"]
        number += 1
    assert number == 4, "three former entries, one new one"


def test_former_files_of_a_directory_that_cannot_be_put_back_are_kept_in_the_state_directory(
    tmp_path: Path, restored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = Used(_made(tmp_path / "state"), str(tmp_path / "matrices"))
    before = used.content
    refuse_renames(monkeypatch, range(3, 1000), OSError(errno.EIO, "Input/output error"))
    monkeypatch.setattr("shutil.move", _copied)
    with pytest.raises(BackupError, match=r"could not be put back.*They are in .*copy them there") as raised:
        used.storage.exchanged(restored, used.state).__enter__()
    (kept,) = used.state.iterdir()
    assert str(kept) in str(raised.value)
    assert not kept.name.startswith("."), "the next restore would remove it"
    files = {path.relative_to(kept).as_posix(): path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    assert files == before


def _copied(source: Path, place: Path) -> Path:
    """Move to another disk."""
    shutil.copytree(source, place)
    shutil.rmtree(source)
    return place


def test_a_directory_that_cannot_be_renamed_is_exchanged_in_place(
    tmp_path: Path, restored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount point: the kernel refuses to rename it, and some entries belong to the disk."""
    used, place = Used(_made(tmp_path / "state"), str(tmp_path / "matrices")), tmp_path / "matrices"
    (place / ".snapshot").mkdir()
    (place / ".snapshot" / "train.npz").write_bytes(b"of the disk")
    (place / "lost+found").mkdir()
    rename, identity = Path.rename, place.stat().st_ino

    def refused(path: Path, to: Path) -> Path:
        if place in (path, to) or path.name in (".snapshot", "lost+found"):
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refused)
    before = used.content
    assert len(used.storage.signatures()) == 2, "a directory of the disk is no content"
    with pytest.raises(KeyboardInterrupt), used.storage.exchanged(_another(restored), used.state):
        raise KeyboardInterrupt
    assert used.content == before
    with used.storage.exchanged(restored, used.state):
        pass
    used.storage.forget(used.state)
    new = {"train.npz": b"restored", "other/new.npz": b"new", ".snapshot/train.npz": b"of the disk"}
    assert used.content == new
    assert sorted(path.name for path in place.iterdir()) == [".snapshot", "lost+found", "other", "train.npz"]
    assert place.stat().st_ino == identity


def _another(directory: Path) -> Path:
    return Path(shutil.copytree(directory, directory.with_name("another")))


def refuse_from(number: int) -> Callable[..., None]:
    """An upload that fails from the given file on."""
    put_file, seen = MemoryFileSystem.put_file, itertools.count(1)

    def upload(*args: object, **options: object) -> None:
        if next(seen) >= number:
            raise TimeoutError("no answer")
        put_file(*args, **options)

    return upload


def test_an_upload_that_fails_is_undone(at_url: Used, restored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = at_url.content
    fails_once = refuse_from(2)

    def upload(*args: object, **options: object) -> None:
        try:
            fails_once(*args, **options)
        except TimeoutError:
            monkeypatch.undo()
            raise

    monkeypatch.setattr(MemoryFileSystem, "put_file", upload)
    with pytest.raises(BackupError, match=r"memory://.*could not be replaced: no answer"):
        at_url.storage.exchanged(restored, at_url.state).__enter__()
    assert at_url.content == before


def test_former_files_that_cannot_be_put_back_are_kept_in_the_state_directory(
    at_url: Used, restored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = at_url.content
    monkeypatch.setattr(MemoryFileSystem, "put_file", refuse_from(1))
    with pytest.raises(BackupError, match=r"could not be put back.*They are in .*copy them there") as raised:
        at_url.storage.exchanged(restored, at_url.state).__enter__()
    (kept,) = at_url.state.iterdir()
    assert str(kept) in str(raised.value)
    assert not kept.name.startswith("."), "the next restore would remove it"
    files = {path.relative_to(kept).as_posix(): path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    assert files == before


def test_a_place_is_shown_without_user_and_password(tmp_path: Path) -> None:
    assert str(UrlStorage("memory://me:secret@host/a@b")) == "memory://host/a@b"
    assert str(storage_of(Settings(state_dir=tmp_path, storage_url=None))) == str(tmp_path / "storage")


@pytest.mark.parametrize("within", ["state", "backups", "archive"])
def test_a_directory_of_matrices_that_holds_what_a_restore_must_not_touch_is_refused(
    tmp_path: Path, within: str
) -> None:
    storage, elsewhere = tmp_path / "matrices", tmp_path / "elsewhere"
    places = {name: (storage if name == within else elsewhere) / name for name in ("state", "backups", "archive")}
    settings = Settings(
        state_dir=places["state"],
        backup_dir=places["backups"],
        storage_url=str(storage),
        database_url="postgresql://nobody@127.0.0.1:1/none",
    )
    with pytest.raises(BackupError, match=f"{within} is in .*matrices, where the matrices are"):
        restoring.restored(settings, places["archive"], force=True).__enter__()
    assert not storage.exists()
