"""Progress of a long step in Dagster's log.

Belongs here: logging while an asset waits for the database or for a file. Does not: the types that long work reports
with (`movierec_assets.progress`).
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from movierec_assets.progress import Log, Progress

T = TypeVar("T")

SECONDS_BETWEEN_MESSAGES = 2.0


def report_progress(log: Any, text: str, work: Callable[[Log], T]) -> T:
    """Do some work, and log every few seconds the text that it reported last.

    The work runs in a thread of its own, so that the log continues while the database is busy. The thread ends with
    the process when the run is interrupted.

    Parameters
    ----------
    log : Dagster's log of the step
    text : str
        Logged until the work reports another text.
    work : callable
        Takes the function to report with.
    """
    latest = text

    def report(text: str) -> None:
        nonlocal latest
        latest = text

    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work(report))
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    started = time.monotonic()
    threading.Thread(target=run, name="movierec-work", daemon=True).start()
    while not wait([future], timeout=SECONDS_BETWEEN_MESSAGES).done:
        log.info(f"{latest} ({time.monotonic() - started:.0f} s)")
    return future.result()


def megabytes(log: Log, done_so_far: str) -> Progress:
    """A function that logs how many megabytes of the ratings are done."""

    def progress(done: int, total: int) -> None:
        log(f"{done_so_far} {done / 1e6:,.0f} of {total / 1e6:,.0f} MB of the ratings")

    return progress
