"""Names and retention of scheduled backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.backup.kept import KeptBackup, backups_in, drop_expired, expired, latest_backup, new_path

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
HOURS = st.integers(-1000, 1000)


@given(st.lists(HOURS, unique=True, max_size=20), HOURS, st.integers(1, 10))
def test_the_new_backup_and_the_latest_others_are_kept(earlier: list[int], now: int, kept: int) -> None:
    """The new one is the oldest by its name where the clock was set back."""
    backups = [
        KeptBackup(Path(f"{number}.zip"), NOW + timedelta(hours=hour), 1)
        for number, hour in enumerate([now, *[hour for hour in earlier if hour != now]])
    ]
    dropped = expired(backups, kept, Path("0.zip"))
    left = [backup for backup in backups if backup not in dropped]
    assert backups[0] in left
    assert len(left) == min(kept, len(backups))
    newest = sorted(backups[1:], key=lambda backup: backup.made_at)
    assert dropped == newest[: len(dropped)][::-1]


def test_only_files_with_the_names_of_backups_are_dropped(tmp_path: Path) -> None:
    paths = []
    for hours in range(4):
        paths.append(new_path(tmp_path, NOW + timedelta(hours=hours)))
        paths[-1].touch()
    again = new_path(tmp_path, NOW + timedelta(hours=3))
    again.touch()
    mine = [tmp_path / "movierec-before-upgrade.zip", tmp_path / "notes.txt", tmp_path / ".movierec-1.zip.part"]
    for path in mine:
        path.touch()
    assert again.name == "movierec-20260329-043000-2.zip"
    latest = latest_backup(tmp_path)
    assert latest is not None
    assert (latest.path, latest.made_at) == (paths[3], NOW + timedelta(hours=3)) or latest.path == again
    drop_expired(tmp_path, 2, again)
    assert {path.name for path in tmp_path.iterdir()} == {paths[3].name, again.name, *(path.name for path in mine)}


def test_a_directory_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert backups_in(tmp_path / "none") == []
    assert latest_backup(tmp_path / "none") is None
