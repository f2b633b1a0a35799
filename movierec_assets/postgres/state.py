"""The state directory of the embedded server: the files that it keeps between commands, and its locks.

Belongs here: the files beside the database (locks, pin, port, password, location of the data) and the choice of a
directory for the data. Does not: when a lock is taken, or anything that happens to a server.

* `lease.lock`: a shared lock is a lease. The kernel releases it however its holder ends.
* `server.lock`: held for every change of the server's state; taken after waiting for `lease.lock`, never before.
* `keeper.lock`: held by the keeper for as long as it lives.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.postgres.binaries import Account, EmbeddedPostgresError, can_enter
from movierec_assets.postgres.cluster import Cluster

DATA_FOR_ROOT = (Path("/var/lib/movierec-assets"), Path("/var/tmp/movierec-assets"))
OWNER_FILE = "owner"
"""File in an outside data directory that names the state directory it belongs to; `host/clean.sh` reads it, too."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StateDirectory:
    """The state directory of one embedded server; the data may be elsewhere."""

    path: Path

    @property
    def lease_lock(self) -> Path:
        """Locked, shared, by every process that needs the server."""
        return self.path / "lease.lock"

    @property
    def server_lock(self) -> Path:
        """Locked by the process that changes the server's state."""
        return self.path / "server.lock"

    @property
    def keeper_lock(self) -> Path:
        """Locked by the live keeper."""
        return self.path / "keeper.lock"

    @property
    def keeper_log(self) -> Path:
        """The keeper's error output."""
        return self.path / "keeper.log"

    @property
    def pin(self) -> Path:
        """Exists while the server stays up without leases."""
        return self.path / "pinned"

    @property
    def password_file(self) -> Path:
        """The superuser's password, readable by its owner only."""
        return self.path / "password"

    @property
    def cluster(self) -> Cluster:
        """The data and the server of this state directory; a copy of another one has not got the original's."""
        outside = self._outside_directory()
        return Cluster(self.path if outside is None or self._original(outside) else outside)

    @property
    def port(self) -> int | None:
        """Port of the last start."""
        try:
            return int(self._port_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def remember_port(self, port: int) -> None:
        """Keep the port for the next start."""
        _write(self._port_file, str(port))

    def password(self, *, create: bool = False) -> str:
        """The superuser's password; `create` makes one where there is none."""
        try:
            return self.password_file.read_text().strip()
        except FileNotFoundError:
            if not create:
                raise EmbeddedPostgresError(
                    f"The password of the embedded Postgres, {self.password_file}, is gone while its data is still "
                    f"in {self.cluster.data}. Put the file back, or remove the data with `make clean`."
                ) from None
        password = secrets.token_urlsafe(24)
        _write(self.password_file, password)
        return password

    def make(self) -> None:
        """Create the directory."""
        if not self.path.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            # The account that replaces root has to pass through.
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def ensure_data_location(self, account: Account | None) -> None:
        """Choose a directory for the data that the server's account can enter, or check the one there is.

        Raises
        ------
        EmbeddedPostgresError
            When the data belongs to another state directory, is gone, or cannot be reached by the account.
        """
        outside = self._outside_directory()
        if outside is not None and (original := self._original(outside)) is not None:
            raise EmbeddedPostgresError(
                f"{self.path} is a copy of {original}, whose database is in {outside} and was not copied. "
                "Start afresh with `movierec db destroy`; or stop the original, copy that directory with its owners "
                f"(`cp -a`) and write the copy's path into {self._location}."
            )
        directory = self.cluster.directory
        if not directory.exists():
            raise EmbeddedPostgresError(
                f"The database of {self.path} was in {directory}, which is gone. Put it back (mount it, restore it), "
                "or start afresh with `make clean`."
            )
        if account is None or can_enter(account, directory):
            if directory != self.path:
                _write(directory / OWNER_FILE, str(self.path))
            return
        if self.cluster.major:
            raise EmbeddedPostgresError(
                f"Postgres runs as the account {account.name!r} here, as it refuses to run as root, and that account "
                f"cannot enter {directory}, where the database is. Let it pass with `chmod o+x` on the directories "
                "above, or move the state directory (MOVIEREC_STATE_DIR) to where it can."
            )
        outside = self._make_outside_directory(account)
        _write(outside / OWNER_FILE, str(self.path))
        _write(self._location, str(outside))

    def clear(self) -> None:
        """Remove everything but the lock files: a process may hold a lock on one of them."""
        directory = self.cluster.directory
        if directory != self.path:
            if directory.exists():
                shutil.rmtree(directory)
            with suppress(OSError):
                directory.parent.rmdir()
        for path in self.path.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path not in (self.lease_lock, self.server_lock, self.keeper_lock):
                path.unlink()

    @property
    def _location(self) -> Path:
        return self.path / "location"

    @property
    def _port_file(self) -> Path:
        return self.path / "port"

    def _outside_directory(self) -> Path | None:
        """Directory outside that holds the data, as the location file says; None when the data is in this one."""
        try:
            return Path(self._location.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _original(self, outside: Path) -> Path | None:
        """The other state directory that owns outside data; None when this one owns it.

        A state directory that was moved still owns its data. A copy does not: the data belongs to the original.
        """
        try:
            owner = Path((outside / OWNER_FILE).read_text(encoding="utf-8"))
        except OSError:
            return None
        if owner == self.path or StateDirectory(owner)._outside_directory() != outside:
            return None
        return None if owner.samefile(self.path) else owner

    def _make_outside_directory(self, account: Account) -> Path:
        digest = hashlib.sha256(bytes(self.path)).hexdigest()[:12]
        for parent in DATA_FOR_ROOT:
            try:
                parent.mkdir(parents=True, exist_ok=True)
                # In /var/tmp, another user may have made it.
                if parent.is_symlink() or parent.stat().st_uid != 0:
                    continue
                parent.chmod(0o711)
                directory = Path(tempfile.mkdtemp(prefix=f"{digest}-", dir=parent))
                directory.chmod(0o711)
            except OSError:
                continue
            if can_enter(account, directory):
                self._report_leftovers(directory)
                return directory
            directory.rmdir()
        raise EmbeddedPostgresError(
            f"Postgres refuses to run as root, and its account {account.name!r} can enter neither {self.path} nor "
            f"a directory under {' or '.join(map(str, DATA_FOR_ROOT))}. Set MOVIEREC_STATE_DIR to a directory "
            "that it can, or work as an ordinary user."
        )

    def _report_leftovers(self, directory: Path) -> None:
        """Stop the servers of state directories that were removed from this path; their data is kept and reported."""
        for left in directory.parent.glob(f"{directory.name.partition('-')[0]}-*"):
            # The data of a state directory that was moved has a new owner.
            if left != directory and self._original(left) is None:
                Cluster(left).stop()
                _log.warning("%s holds the database of a removed %s. Remove it if it is not needed.", left, self.path)


def _write(path: Path, text: str) -> None:
    """Write a private file whole or not at all."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
