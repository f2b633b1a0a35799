"""Restoring a backup on this machine: the server under it, and bringing the databases up to this version.

Belongs here: the order of both. Does not: the backup (`backup`).
"""

from __future__ import annotations

from pathlib import Path

from movierec_assets.backup.ending import Restored, finish
from movierec_assets.backup.restoring import restored
from movierec_assets.host.environment import running_databases
from movierec_assets.host.provision import provision
from movierec_assets.progress import Log
from movierec_assets.settings import Settings


def restore_here(settings: Settings, path: Path, log: Log, *, force: bool = False) -> Restored:
    """Restore a backup into the state directory and the databases of the settings.

    Raises
    ------
    BackupError, DumpError, DatabaseUnavailableError
        Everything is then as it was.
    """
    with (
        running_databases(settings, log, prepared=False) as found,
        restored(found, path, log, force=force) as manifest,
    ):
        provision(found, log)
        return finish(found, manifest)
