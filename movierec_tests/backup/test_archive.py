"""The file of a backup: it is whole or it is refused."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.backup import manifest
from movierec_assets.backup.archive import reading, writing
from movierec_assets.backup.errors import BackupError, DamagedBackupError
from movierec_assets.backup.manifest import FORMAT, Manifest
from movierec_assets.backup.restoring import check

FILES = {"databases/ratings.dump": b"rows" * 900, "storage/train matrix.npz": b"", "mlartifacts/1/é.npz": b"\0\1" * 70}


def write(path: Path, made: Manifest | None = None, *, overwrite: bool = False) -> None:
    with writing(path, overwrite=overwrite) as archive:
        for name, content in FILES.items():
            with archive.member(name) as file:
                file.write(content)
        archive.finish(made or Manifest(postgres=18, dumped_by=18))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("archive") / "backup.zip"
    write(path)
    assert [left.name for left in path.parent.iterdir()] == ["backup.zip"]
    return path.read_bytes()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def test_every_file_is_read_as_it_was_written(written: bytes, scratch: Path) -> None:
    path = scratch / "whole.zip"
    path.write_bytes(written)
    with reading(path) as archive:
        archive.verify()
        for name, content in FILES.items():
            with archive.member(name) as file:
                assert file.read() == content
    check(path)


@given(st.floats(0, 1, exclude_max=True))
def test_an_archive_that_was_cut_short_is_refused(written: bytes, scratch: Path, share: float) -> None:
    path = scratch / "short.zip"
    path.write_bytes(written[: int(len(written) * share)])
    with pytest.raises(DamagedBackupError, match=r"short\.zip is no whole backup.*Nothing was restored"):
        check(path)


@given(st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(written: bytes, scratch: Path, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(written) - 1))
    _assert_noticed_or_harmless(written, scratch, place, data.draw(st.integers(1, 255)))


@pytest.mark.parametrize("bits", [1, 32, 255])
def test_a_changed_byte_of_the_directory_is_noticed_or_changes_nothing(
    written: bytes, scratch: Path, bits: int
) -> None:
    """Each in turn: such a file may seem to have a password, another compression, or another place."""
    for place in range(written.index(b"PK\x01\x02"), len(written)):
        _assert_noticed_or_harmless(written, scratch, place, bits)


def _assert_noticed_or_harmless(written: bytes, scratch: Path, place: int, bits: int) -> None:
    changed = bytearray(written)
    changed[place] ^= bits
    path = scratch / "changed.zip"
    path.write_bytes(changed)
    try:
        with reading(path) as archive:
            archive.verify()
            found = {name: _content(archive, name) for name in archive.manifest.members}
    except BackupError:
        return
    assert found == FILES


def _content(archive: object, name: str) -> bytes:
    with archive.member(name) as file:  # type: ignore[attr-defined]
        return bytes(file.read())


def test_another_file_is_no_backup(scratch: Path) -> None:
    path = scratch / "notes.txt"
    path.write_text("no backup")
    with pytest.raises(DamagedBackupError, match=r"notes\.txt is no whole backup"):
        check(path)
    with pytest.raises(BackupError, match=r"gone\.zip cannot be read: No such file"):
        check(scratch / "gone.zip")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": FORMAT + 1}, rf"has format {FORMAT + 1}, which version 9\.9\.9 of movierec wrote"),
        ({"schema_version": "9999"}, r"newer than this one: schema 9999 of the ratings"),
        ({"dagster": "99.1.0"}, r"newer than this one: Dagster 99\.1\.0"),
        ({"mlflow": "99.1.0"}, r"newer than this one: MLflow 99\.1\.0"),
    ],
)
def test_a_backup_of_a_newer_version_is_refused(
    change: dict[str, object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "backup.zip"
    with monkeypatch.context() as newer:
        newer.setattr(manifest, "FORMAT", FORMAT + 1)
        write(path, Manifest(postgres=18, dumped_by=18, movierec="9.9.9").model_copy(update=change))
    with pytest.raises(BackupError, match=words) as refused:
        check(path)
    assert "Update this program first" in str(refused.value)


def test_names_that_lead_out_of_the_directory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup.zip"
    with pytest.raises(DamagedBackupError, match="holds the name"), writing(path) as archive:  # noqa: PT012
        with archive.member("storage/../../.bashrc") as file:
            file.write(b"")
        archive.finish(Manifest(postgres=18, dumped_by=18))
    assert not path.exists()


def test_a_file_that_exists_is_only_replaced_by_force(tmp_path: Path) -> None:
    path = tmp_path / "backup.zip"
    path.write_text("mine")
    with pytest.raises(BackupError, match="exists already"):
        write(path)
    assert path.read_text() == "mine"
    write(path, overwrite=True)
    check(path)
    with pytest.raises(BackupError, match="is a directory"):
        write(tmp_path)


@contextmanager
def full_disk(free: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("free", [0, 100, 3000])
def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(free: int, tmp_path: Path) -> None:
    path = tmp_path / "backup.zip"
    path.write_text("mine")
    with full_disk(free), pytest.raises(BackupError, match=r"could not be written.*MB are free.*Make room"):
        write(path, overwrite=True)
    assert [left.name for left in tmp_path.iterdir()] == ["backup.zip"]
    assert path.read_text() == "mine"


def test_the_part_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path) -> None:
    part = tmp_path / ".backup.zip.0123abcd.movierec-part"
    part.write_text("half")
    write(tmp_path / "backup.zip")
    assert [left.name for left in tmp_path.iterdir()] == ["backup.zip"]
