"""A private Postgres server for a machine without one: starting it, sharing it, and stopping it after its last user.

Belongs here: the life of the server as its users see it (lease, pin, stop, destroy). Does not: finding programs
(`binaries`), handling processes (`cluster`), files and locks (`state`), stopping after the last user (`keeper`), a
later version of Postgres (`upgrade`), any table.

The server runs while a process holds a lease. It is stopped after the last of these processes ended, even by a kill:

>>> with EmbeddedPostgres(settings.state).lease() as url:  # doctest: +SKIP
...     psycopg2.connect(url)
"""

from __future__ import annotations

import fcntl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import sql

from movierec_assets.file_lock import locked
from movierec_assets.postgres import upgrade
from movierec_assets.postgres.binaries import (
    Account,
    EmbeddedPostgresError,
    choose_installation,
    installations,
    program_version,
    server_account,
)
from movierec_assets.postgres.cluster import HOST, START_SECONDS, SUPERUSER
from movierec_assets.postgres.keeper import MODULES as KEEPER_MODULES
from movierec_assets.postgres.keeper import ensure_keeper
from movierec_assets.postgres.state import StateDirectory

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "EmbeddedPostgresInUseError", "EmbeddedStatus"]


class EmbeddedPostgresInUseError(EmbeddedPostgresError):
    """The server was not stopped, because processes hold leases on it; the message names them."""


@dataclass(frozen=True)
class EmbeddedStatus:
    """State of the embedded server, found without touching it.

    Attributes
    ----------
    running : bool
        Whether its main process is alive.
    pid, port : int or None
        Of the running server.
    pinned : bool
        Whether it stays up until `stop`.
    data_dir : Path
        Where its data is, or would be.
    server_version : str or None
        Of the running server, else of the programs that would run it; None when there are none.
    binaries : Path or None
        Directory of those programs.
    """

    running: bool
    pid: int | None
    port: int | None
    pinned: bool
    data_dir: Path
    server_version: str | None
    binaries: Path | None


class EmbeddedPostgres:
    """The Postgres server of a state directory.

    Any number of objects and processes may use the same directory at once; they share one server.

    Parameters
    ----------
    state_dir : Path
        Directory of everything made at run time; the server uses its subdirectory `postgres`. Where root runs this
        and the server's account cannot enter that, the data is in a directory under /var/lib/movierec-assets, and
        the file `location` in the subdirectory names it.
    database : str
        Database in the URLs; created where it is missing.
    """

    def __init__(self, state_dir: Path, database: str = "movierec") -> None:
        self._state = StateDirectory(Path(state_dir).resolve() / "postgres")
        self._database = database

    @contextmanager
    def lease(self) -> Iterator[str]:
        """Keep the server running for as long as the context lasts; starts it if needed.

        Yields
        ------
        str
            libpq URL of the database.

        Raises
        ------
        EmbeddedPostgresError
            When the server cannot be started.
        """
        state = self._state
        with ExitStack() as held:
            with self._explained():
                state.make()
                held.enter_context(locked(state.lease_lock, fcntl.LOCK_SH))
                with locked(state.server_lock):
                    url = self._run_server(kept=not state.pin.exists())
            yield url

    def start(self) -> str:
        """Start the server and pin it, so that it stays until `stop`; returns its URL.

        Raises
        ------
        EmbeddedPostgresError
            When the server cannot be started; it is then not pinned either.
        """
        state = self._state
        with self._explained():
            state.make()
            with locked(state.server_lock), ExitStack() as undo:
                if not state.pin.exists():
                    # Before the server, in case this process is killed in between: no keeper stops a pinned server.
                    state.pin.touch()
                    undo.callback(self._undo_pin)
                url = self._run_server(kept=False)
                undo.pop_all()
                return url

    def stop(self, *, force: bool = False) -> bool:
        """Stop the server and unpin it.

        While any process, this one included, holds a lease, the server and its pin stay as they are. With `force`
        the server is stopped under its users; the next lease starts it again.

        Returns
        -------
        bool
            False when no server ran.

        Raises
        ------
        EmbeddedPostgresInUseError
            When there are leases and no `force`; the message names the processes.
        """
        with self._explained(), self._without_users(force) as exists:
            return self._stop() if exists else False

    def destroy(self, *, force: bool = False) -> None:
        """Stop the server as `stop` does, and remove its data, password and log for good.

        Data outside the state directory is removed, too. The empty lock files stay.

        Raises
        ------
        EmbeddedPostgresInUseError
            When there are leases and no `force`.
        """
        with self._explained(), self._without_users(force) as exists:
            if exists:
                self._stop()
                self._state.clear()

    def status(self) -> EmbeddedStatus:
        """Describe the server; starts, waits for and changes nothing."""
        with self._explained():
            cluster = self._state.cluster
            process = cluster.postmaster()
            binaries = version = None
            if process:
                with suppress(psutil.Error, IndexError):  # a process that ends has no command line any more
                    binaries = Path(process.cmdline()[0]).parent
                    version = program_version(binaries, None)
            elif installation := next(installations(cluster.major), None):
                binaries, version = installation.binaries, installation.version
            return EmbeddedStatus(
                running=process is not None,
                pid=process.pid if process else None,
                port=cluster.port if process else None,
                pinned=self._state.pin.exists(),
                data_dir=cluster.data,
                server_version=version,
                binaries=binaries,
            )

    def url(self) -> str | None:
        """The libpq URL of the running server; None when it does not run."""
        with self._explained():
            return self._url(self._database) if self._state.cluster.postmaster() else None

    def _run_server(self, *, kept: bool) -> str:
        """Bring the server up, if it is not, with the database in it; call with the server lock held."""
        account = server_account(self._state.cluster.data)
        self._state.ensure_data_location(account)
        # Before the server: if this process is killed while starting it, the keeper cleans up.
        launcher = ensure_keeper(self._state) if kept else None
        try:
            self._bring_up_to_date(account)
            self._wait_for_database(account)
        finally:
            if launcher:
                launcher.wait(timeout=START_SECONDS)
        if launcher and launcher.returncode != 0:
            self._refuse_without_keeper()
        return self._url(self._database)

    def _bring_up_to_date(self, account: Account | None) -> None:
        """Upgrade the data when the programs that a new server would get are of a later major version."""
        cluster = self._state.cluster
        upgrade.settle(cluster)
        if cluster.major is None or cluster.postmaster():
            return
        best = next(installations(), None)
        if best is not None and int(best.major) > int(cluster.major):
            former, later = (
                choose_installation(major, account, cluster.directory) for major in (cluster.major, best.major)
            )
            upgrade.upgrade(cluster, former, later, account, self._state.password())

    def _wait_for_database(self, account: Account | None) -> None:
        cluster = self._state.cluster
        deadline = time.monotonic() + START_SECONDS
        while True:
            if not cluster.postmaster():
                self._launch(account)
            try:
                self._create_missing_database()
                break
            except psycopg2.Error as error:
                # The server is recovering, shutting down, or gone again, even between two queries; waiting helps.
                if time.monotonic() > deadline or "password authentication failed" in str(error):
                    raise EmbeddedPostgresError(
                        f"The embedded Postgres runs on port {cluster.port} but admits nobody: {str(error).strip()}. "
                        f"Its log is {cluster.log}, its password is in {self._state.password_file}."
                    ) from error
            time.sleep(0.1)
        if port := cluster.port:
            self._state.remember_port(port)

    def _launch(self, account: Account | None) -> None:
        cluster = self._state.cluster
        installation = choose_installation(cluster.major, account, cluster.directory)
        password = self._state.password(create=cluster.major is None)
        if cluster.major is None:
            cluster.create(installation, account, password)
        cluster.launch(installation, account, self._state.port)

    def _create_missing_database(self) -> None:
        with closing(psycopg2.connect(self._url("postgres"), connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (self._database,))
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._database)))

    def _url(self, database: str) -> str:
        port = self._state.cluster.port
        return f"postgresql://{SUPERUSER}:{self._state.password()}@{HOST}:{port}/{quote(database, safe='')}"

    def _refuse_without_keeper(self) -> None:
        self._state.cluster.stop()
        complaint = self._state.keeper_log.read_text(errors="replace").strip()
        raise EmbeddedPostgresError(
            "The process that stops the embedded Postgres after its last user did not start, so Postgres was not left "
            f"running either:\n{complaint}\n`movierec db start` runs the server without that process."
        )

    def _undo_pin(self) -> None:
        self._state.pin.unlink()
        # Leases that were taken under the pin, and a server that did start, need a keeper now.
        if launcher := ensure_keeper(self._state):
            launcher.wait(timeout=START_SECONDS)

    def _stop(self) -> bool:
        self._state.pin.unlink(missing_ok=True)
        return self._state.cluster.stop()

    @contextmanager
    def _without_users(self, force: bool) -> Iterator[bool]:
        """Keep others from starting the server or taking leases; yields whether the state directory exists."""
        state = self._state
        if not state.path.exists():
            yield False
            return
        with ExitStack() as held:
            held.enter_context(locked(state.server_lock))
            try:
                held.enter_context(locked(state.lease_lock, fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError:
                if not force and self._is_leased():
                    raise EmbeddedPostgresInUseError(
                        f"The embedded Postgres of {state.path.parent} is in use by {self._users()}. End that first, "
                        "or stop the server under it with `movierec db stop --force`."
                    ) from None
            yield True

    def _is_leased(self) -> bool:
        # Only a keeper that is about to stop the server holds the lock exclusively.
        try:
            with locked(self._state.lease_lock, fcntl.LOCK_SH | fcntl.LOCK_NB):
                return True
        except BlockingIOError:
            return False

    def _users(self) -> str:
        lock = str(self._state.lease_lock)
        users = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                command = " ".join(" ".join(process.cmdline()).split())
                if not any(module in command for module in KEEPER_MODULES) and any(
                    file.path == lock for file in process.open_files()
                ):
                    users.append(f"process {process.pid} ({command[:80]})")
        return ", ".join(users) or "another process"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of the operating system into one that names the directory and a remedy."""
        try:
            yield
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmbeddedPostgresError(
                f"The embedded Postgres cannot use its directory {self._state.path}: {error}. Make it writable for "
                "this user and see that there is space left, set MOVIEREC_STATE_DIR to another directory, or set "
                "MOVIEREC_DATABASE_URL to a server of your own."
            ) from error
