"""Copies of a storage, and exchanging its files: in a directory, and at a URL."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from upath import UPath

from movierec_assets.backup.errors import BackupError
from movierec_assets.backup.storages import Storage, UrlStorage, storage_of
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
        assert used.content == {"train.npz": b"restored", "other/new.npz": b"new"}
    assert used.content == {"train.npz": b"restored", "other/new.npz": b"new"}
    assert list(used.state.iterdir()) == []


def test_an_exchange_that_fails_leaves_the_former_files_and_no_others(used: Used, restored: Path) -> None:
    before = used.content
    with pytest.raises(KeyboardInterrupt), used.storage.exchanged(restored, used.state):
        raise KeyboardInterrupt
    assert used.content == before
    assert list(used.state.iterdir()) == []


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
