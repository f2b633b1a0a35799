"""One Postgres data directory and the server processes that belong to it.

Belongs here: creating the directory, launching its server, recognizing the server's processes, and stopping them.
Does not: the users of the server (`server`), and its programs (`binaries`). Callers hold the
server lock; nothing here locks.
"""

from __future__ import annotations

import hashlib
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from movierec_assets.postgres.binaries import Account, EmbeddedPostgresError, Installation, run_program

SUPERUSER = "movierec"
HOST = "127.0.0.1"

# For bulk loads of tens of millions of rows on a laptop. Durability stays on: ratings that people post to the API exist
# nowhere else.
SERVER_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "256MB",
    "work_mem": "64MB",
    "maintenance_work_mem": "1GB",
    "random_page_cost": "1.1",
    "effective_cache_size": "2GB",
    "jit": "off",
    "autovacuum": "on",
    "autovacuum_work_mem": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    # Pages are flushed while a load runs, so that its commit does not have to write a gigabyte at once.
    "backend_flush_after": "2MB" if sys.platform == "linux" else "0",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}

PASSWORD_ITERATIONS = 1
"""Postgres hashes a password 4,096 times at each connection, to protect short passwords. Ours is random and long:
hashing it once is as safe, and halves the time to connect. Dagster connects hundreds of times in a run."""

# Recovery after a crash replays up to max_wal_size of log.
START_SECONDS = 120
FAST_STOP_SECONDS = 60
IMMEDIATE_STOP_SECONDS = 15
STRAY_SECONDS = 3
LAUNCH_ATTEMPTS = 8
LOG_LIMIT_BYTES = 8_000_000

# Below the ranges from which Linux and macOS take ports for outgoing connections, so that a port is still free at the
# next start.
PORTS = range(15432, 25432)

PORT_TAKEN = ("could not bind", "could not create any TCP/IP sockets")
SERVER_IN_THE_WAY = ("pre-existing shared memory block", "postmaster.pid")


@dataclass(frozen=True)
class Cluster:
    """A directory with the data and the log of one server; the server's account can enter it."""

    directory: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.directory / "server.log"

    @property
    def name(self) -> str:
        """Word that stands in the command line of every process of this server, and of no other server.

        Postgres puts `cluster_name` into the titles of its children. Root in a container can read command lines, but
        not working directories.
        """
        return f"movierec-{hashlib.sha256(bytes(self.directory)).hexdigest()[:16]}"

    @property
    def major(self) -> str | None:
        """Major version that made the data directory; None before it exists."""
        try:
            return (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return None

    @property
    def port(self) -> int | None:
        """Port that the running server listens on."""
        lines = self._pid_file_lines()
        return int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else None

    def postmaster(self) -> psutil.Process | None:
        """Find the live main process of this data directory's server.

        A pid file outlives a killed server, and another process may have its number by now.
        """
        pid = self._recorded_pid()
        if pid is None:
            return None
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.name() == "postgres" and (self.name in " ".join(process.cmdline()) or self._runs_here(process)):
                return process
        return None

    def _runs_here(self, process: psutil.Process) -> bool:
        """Whether a server that was started under an earlier path of this directory runs in it.

        The pid file does not prove it: a copy of the directory has the same file.
        """
        try:
            return Path(process.cwd()).samefile(self.data)
        except psutil.AccessDenied:  # root in a container
            command = process.cmdline()
            return "-D" in command and not Path(command[command.index("-D") + 1]).exists()
        except OSError:
            return False

    def create(self, installation: Installation, account: Account | None, password: str) -> None:
        """Initialize the data directory; an interrupted call leaves none."""
        for unfinished in self.directory.glob("data.new-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.directory))
        try:
            with tempfile.NamedTemporaryFile("w", dir=self.directory, prefix=".initdb-") as password_file:
                password_file.write(password + "\n")
                password_file.flush()
                for path in (fresh, Path(password_file.name)):
                    change_owner(path, account)
                command: list[str | Path] = [
                    installation.binaries / "initdb", "--pgdata", fresh, "--username", SUPERUSER,
                    "--pwfile", password_file.name, "--auth", "scram-sha-256", "--encoding", "UTF8",
                ]  # fmt: skip
                if int(installation.major) >= 16:
                    command += ["--set", f"scram_iterations={PASSWORD_ITERATIONS}"]
                for locale in _locale_options(int(installation.major)):
                    result = run_program(
                        [*command, *locale], account=account, cwd=self.directory, timeout=START_SECONDS
                    )
                    if result.returncode == 0:
                        break
            if result.returncode != 0:
                raise EmbeddedPostgresError(
                    f"initdb of Postgres {installation.version} could not make a database in {self.directory}. It "
                    f"said:\n{_last_lines(result.stdout)}\nCheck the free space and the rights there, or set "
                    "MOVIEREC_STATE_DIR to another directory."
                )
            fresh.rename(self.data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    @property
    def successor(self) -> Cluster:
        """Data of a later major version, while an upgrade makes it."""
        return Cluster(self.directory / "upgrade")

    def launch(
        self,
        installation: Installation,
        account: Account | None,
        port: int | None,
        further: Mapping[str, str] | None = None,
    ) -> None:
        """Start the server, on `port` if that is free, and wait until it is up; `further` are settings of this start.

        Raises
        ------
        EmbeddedPostgresError
            With the last lines of the log.
        """
        self._remove_leftovers()
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        self.log.touch(mode=0o600)
        change_owner(self.log, account)
        output = new_log = ""
        for _ in range(LAUNCH_ATTEMPTS):
            if port is None or not port_is_free(port):
                port = free_port()
            settings = SERVER_SETTINGS | {"port": str(port), "cluster_name": self.name} | dict(further or {})
            # pg_ctl hands these to a shell. It quotes its own option for the directory badly, so that is here, too.
            options = shlex.join(["-D", str(self.data), *(f"--{key}={value}" for key, value in settings.items())])
            command: list[str | Path] = [
                installation.binaries / "pg_ctl", "start", "--wait", "--timeout", str(START_SECONDS),
                "--log", self.log.name, "--options", options,
            ]  # fmt: skip
            offset = self.log.stat().st_size
            with suppress(subprocess.TimeoutExpired):
                output = run_program(
                    command,
                    account=account,
                    cwd=self.directory,
                    variables={"PGDATA": str(self.data)},
                    timeout=START_SECONDS + 10,
                ).stdout
            # pg_ctl also gives up on a server that is still replaying its log; the caller keeps waiting for that one.
            if self.postmaster():
                return
            new_log = self._log_since(offset)
            if any(sign in new_log for sign in PORT_TAKEN):
                port = None
            elif any(sign in new_log for sign in SERVER_IN_THE_WAY):
                time.sleep(0.5)
                self._remove_leftovers()
            else:
                break
        raise EmbeddedPostgresError(
            f"Postgres {installation.version} ({installation.binaries}) did not start on {self.data}. The end of its "
            f"log, {self.log}:\n{_last_lines(new_log or output)}\nCheck the free space and memory, and that nobody "
            "changed the rights or files there; `movierec db start` tries again."
        )

    def stop(self) -> bool:
        """Stop the server, and one that an interrupted upgrade left; True when the first was running.

        Raises
        ------
        EmbeddedPostgresError
            When it still runs after an immediate shutdown.
        """
        if self.successor.directory.exists():
            self.successor.stop()
        process = self.postmaster()
        if process is None:
            self._remove_leftovers()
            return False
        # The signals of `pg_ctl stop`. That one trusts the pid file, while psutil notices a recycled number.
        for number, seconds in ((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
            if _wait_until_gone(process, seconds):
                return True
        raise EmbeddedPostgresError(
            f"Postgres (pid {process.pid}) on {self.data} did not stop in {FAST_STOP_SECONDS + IMMEDIATE_STOP_SECONDS} "
            f"seconds. Its log is {self.log}; if it hangs, `kill -9 {process.pid}` is safe, the next start recovers."
        )

    def _remove_leftovers(self) -> None:
        """Remove the leftovers of a killed server that keep Postgres from starting: children, a recycled pid."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + STRAY_SECONDS
            strays = list(self._processes())
            if not strays:
                break
            for process in strays:
                with suppress(psutil.Error):
                    process.send_signal(number)
            while strays and time.monotonic() < deadline:
                time.sleep(0.05)
                strays = list(self._processes())
        pid = self._recorded_pid()
        # Postgres handles the pid of a dead process itself. This one belongs to another process.
        if pid is not None and psutil.pid_exists(pid) and self.postmaster() is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _processes(self) -> Iterator[psutil.Process]:
        """Live processes of this cluster's server, whether or not their postmaster lives."""
        # Not process_iter: it caches the name that a process had before it became Postgres.
        for pid in psutil.pids():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.name() in ("postgres", "pg_ctl") and self.name in " ".join(process.cmdline()):
                    yield process

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _recorded_pid(self) -> int | None:
        lines = self._pid_file_lines()
        return int(lines[0]) if lines and lines[0].isdigit() and int(lines[0]) > 0 else None

    def _log_since(self, offset: int) -> str:
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")


def change_owner(path: Path, account: Account | None) -> None:
    """Make the server's account the owner of a file; nothing to do where it is this process's account."""
    if account:
        shutil.chown(path, account.uid, account.gid)


def port_is_free(port: int) -> bool:
    """Whether Postgres could listen on a port now."""
    with socket.socket() as probe:
        # As Postgres does, so that a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """Pick a port that nobody listens on."""
    for port in random.sample(PORTS, 100):
        if port_is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _locale_options(major: int) -> list[list[str]]:
    if major >= 17:
        return [["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]]
    return [["--locale", "C.UTF-8"], ["--locale", "C"]]


def _last_lines(text: str, count: int = 12) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-count:]) or "  (nothing)"


def _wait_until_gone(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False
