"""The API on one machine: the keeper of the snapshot, and workers that share one listening socket.

Belongs here: its processes, the socket, and the database under it. Does not: starting a process again (`supervision`),
the processes (`serving.online.keeper`, `serving.api.__main__`).

A connection that arrives while a worker is started again waits in the socket, which this process keeps open.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import requests

from movierec_assets.host import CommandError
from movierec_assets.host.environment import require_project, variables
from movierec_assets.host.provision import provision
from movierec_assets.host.supervision import Child, end
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.progress import Log
from movierec_assets.serving.api.metrics import MULTIPROCESS
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import DatabaseUnavailableError

WORKER = "movierec_assets.serving.api"
LOOK_SECONDS = 0.2
DATABASE_SECONDS = 2.0
"""Between two looks at the embedded Postgres, and two attempts to prepare a database that did not answer."""
WAITING = 2048
"""Connections that wait in the socket at most."""
_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",  # one user is folded in at a time
    "MALLOC_ARENA_MAX": "2",  # each thread that allocates would keep tens of megabytes otherwise
}

_log = logging.getLogger("movierec.api")


def serve(settings: Settings, answering: Callable[[str], None], worker: str = WORKER) -> None:
    """Answer requests until SIGINT, SIGTERM or a closed terminal.

    Parameters
    ----------
    settings : Settings
        As `api_databases` gives them.
    answering : callable
        Called with the address once a worker answers.
    worker : str
        Module of the workers' program.

    Raises
    ------
    CommandError
        When the port is taken.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    environment = _worker_environment(settings)
    with listening(settings.api_host, settings.api_port) as opened:
        workers = [_worker(worker, number, opened, environment) for number in range(1, settings.api_workers + 1)]
        children = [_keeper(), *workers]
        address = settings.api_address
        threading.Thread(target=_tell, args=(settings, stop, lambda: answering(address)), daemon=True).start()
        try:
            while not stop.is_set():
                for child in children:
                    child.look()
                stop.wait(LOOK_SECONDS)
        finally:
            stop.set()
            end(children)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens.

    Raises
    ------
    CommandError
        When the address cannot be used, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.create_server((host, port), family=family, backlog=WAITING)
    except OSError as error:
        raise CommandError(
            f"The API cannot listen on {host}, port {port}: {error.strerror or error}. End the program that uses the "
            "port, or choose another address with MOVIEREC_API_HOST and MOVIEREC_API_PORT."
        ) from error
    with opened:
        yield opened


def _keeper() -> Child:
    return Child("The keeper", ["-m", "movierec_assets.serving.online.keeper"], _ENVIRONMENT)


def _worker(module: str, number: int, opened: socket.socket, environment: dict[str, str]) -> Child:
    arguments = ["-m", module, str(opened.fileno())]
    return Child(f"Worker {number}", arguments, environment, [opened.fileno()])


def _worker_environment(settings: Settings) -> dict[str, str]:
    """Variables of the workers; several ones add up their metrics by files, which begin anew."""
    if settings.api_workers == 1:
        return _ENVIRONMENT
    directory = settings.state / "serving" / "metrics"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return _ENVIRONMENT | {MULTIPROCESS: str(directory)}


def _tell(settings: Settings, stop: threading.Event, answering: Callable[[], None]) -> None:
    """Call a function once a worker answers."""
    while not stop.wait(LOOK_SECONDS):
        try:
            if requests.get(f"{settings.api_address}/health/live", timeout=2).ok:
                answering()
                return
        except requests.RequestException:
            continue


@contextmanager
def api_databases(settings: Settings, log: Log) -> Iterator[Settings]:
    """The databases under the API, which need not answer at once, and are brought back when they end.

    The embedded Postgres is started, and started again when it was killed. A database of MOVIEREC_DATABASE_URL that
    does not answer is prepared as soon as it does; until then the last snapshot is served.

    Yields
    ------
    Settings
        With the database URL.
    """
    ended = threading.Event()
    with ExitStack() as held:
        held.callback(ended.set)
        require_project(settings)
        if settings.database_url is None:
            server = EmbeddedPostgres(settings.state)
            url = held.enter_context(server.lease())
            settings = settings.model_copy(update={"embedded_database_url": url})
            threading.Thread(target=_bring_back, args=(server, ended), daemon=True).start()
        os.environ.update(variables(settings))
        try:
            provision(settings, log)
        except DatabaseUnavailableError as error:
            log(f"{error} The last snapshot is served until it does.")
            threading.Thread(target=_prepare_later, args=(settings, ended), daemon=True).start()
        yield get_settings()


def _bring_back(server: EmbeddedPostgres, ended: threading.Event) -> None:
    """Start the embedded Postgres again whenever it was killed."""
    while not ended.wait(DATABASE_SECONDS):
        try:
            if server.url() is None and server.status().data_dir.exists() and not ended.is_set():
                _log.warning("The embedded Postgres ended; it is started again.")
                with server.lease():
                    pass
        except Exception as error:  # noqa: BLE001 - Postgres may be killed again, and nobody else starts it
            _log.warning("%s", error)


def _prepare_later(settings: Settings, ended: threading.Event) -> None:
    while not ended.wait(DATABASE_SECONDS):
        try:
            provision(settings, lambda text: _log.info("%s", text))
        except DatabaseUnavailableError:
            continue
        return
