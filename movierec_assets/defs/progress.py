"""Telling how far a long step is.

Belongs here: what an asset says while it waits for the database or for a file. The terminal shows it as a moving line.
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
    """Do some work, logging every few seconds what it is at.

    The work runs in a thread of its own, so that there is something to say even while the database is busy. It ends
    with the process when the run is interrupted.

    Parameters
    ----------
    log : Dagster's log of the step
    text : str
        What is being done.
    work : callable
        Given a function that takes what is being done from now on.
    """
    now = text

    def note(next_text: str) -> None:
        nonlocal now
        now = next_text

    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work(note))
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    started = time.monotonic()
    threading.Thread(target=run, name="movierec-work", daemon=True).start()
    while not wait([future], timeout=SECONDS_BETWEEN_MESSAGES).done:
        log.info(f"{now} ({time.monotonic() - started:.0f} s)")
    return future.result()


def megabytes(log: Log, done_so_far: str) -> Progress:
    """Make a function that says how much of the file of ratings is done."""

    def progress(done: int, total: int) -> None:
        log(f"{done_so_far} {done / 1e6:,.0f} of {total / 1e6:,.0f} MB of the ratings")

    return progress
