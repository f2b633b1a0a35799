"""Dagster's daemon, and never two of them: `python -m movierec_assets.host.daemon --workspace FILE`.

Belongs here: the lock of the only daemon. Does not: schedules, sensors and the queue, which are Dagster's own program.

Dagster does not support two daemons on one database: both would launch the runs that are due. The second one waits
here, and takes over when the first one ends.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.host.supervision import AGAIN
from movierec_assets.settings import get_settings
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import Database, DatabaseUnavailableError

LOCK = "daemon"
LOOK_SECONDS = 2.0
"""Between two attempts to take the lock, and two looks whether its session lives."""

_log = logging.getLogger("movierec.daemon")


def only_daemon(database: Database, log: Callable[[str], None] = _log.warning) -> Connection:
    """Wait until no other daemon works on a database; returns the session that holds the lock."""
    told = ""
    while True:
        try:
            session = database.open()
            session.autocommit = True
            with session.cursor() as cursor:
                if take_lock(cursor, LOCK, until="session ends", wait=False):
                    return session
            session.close()
            why = "Another daemon works on this database. This one waits, and takes over when that ends."
        except (DatabaseUnavailableError, psycopg2.Error) as error:
            why = " ".join(str(error).split())
        if why != told:
            log(why)
        told = why
        time.sleep(LOOK_SECONDS)


def watch(session: Connection, end: Callable[[], None]) -> None:
    """Call `end` when the session has ended, as after a restart of Postgres; for a thread of its own."""
    try:
        while True:
            with session.cursor() as cursor:
                cursor.execute("SELECT 1")
            time.sleep(LOOK_SECONDS)
    except psycopg2.Error as error:
        _log.warning("The session of the daemon's lock ended (%s).", " ".join(str(error).split()))
        end()


def main() -> None:
    """Run Dagster's daemon with the arguments of `dagster-daemon run`, as soon as no other one runs."""
    # Its own lines only: Dagster's daemon sets up the rest.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y/%m/%d %H:%M:%S"))
    _log.addHandler(handler)
    _log.propagate = False
    session = only_daemon(Database(get_settings().databases.ratings))
    from dagster._daemon.cli import run_command  # noqa: PLC0415

    from movierec_assets.host.clock import wake_all, watch_clock  # noqa: PLC0415

    # Another daemon may have the lock by now. Whoever started this one starts it again.
    threading.Thread(target=watch, args=(session, lambda: os._exit(AGAIN)), daemon=True).start()
    wake_all()
    threading.Thread(target=watch_clock, args=(threading.Event(), lambda: os._exit(AGAIN)), daemon=True).start()
    run_command.main(sys.argv[1:], prog_name="dagster-daemon run")


if __name__ == "__main__":
    main()
