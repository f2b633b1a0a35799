"""Making the next item in a thread while the last one is used.

Belongs here: the thread. Does not: the items.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Follows the last item, with the error that ended the thread, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Unwanted(BaseException):
    """Ends the function that makes items when nobody takes them any more."""


def ahead(items: Iterator[T], depth: int = 1) -> Generator[T, None, None]:
    """Run an iterator in a thread, at most `depth` items ahead, and raise its errors here.

    A caller that stops early closes the result, as garbage collection does.
    """

    def make(put: Callable[[T], None]) -> None:
        for item in items:
            put(item)

    return handed_on(make, depth)


def handed_on(make: Callable[[Callable[[T], None]], None], depth: int = 1) -> Generator[T, None, None]:
    """Items that a function makes while it runs in a thread, at most `depth` items ahead.

    Parameters
    ----------
    make : callable
        Called with a function that takes an item, and waits while too many are waiting. Its errors are raised here.
    depth : int

    Yields
    ------
    The items. A caller that stops early closes the result, which ends `make` by an exception at its next item.
    """
    made: queue.Queue[T | _End] = queue.Queue(depth)
    wanted = threading.Event()
    wanted.set()

    def put(item: T | _End) -> None:
        while wanted.is_set():
            with suppress(queue.Full):
                made.put(item, timeout=0.2)
                return
        raise _Unwanted

    def run() -> None:
        error: BaseException | None = None
        try:
            make(put)
        except BaseException as raised:  # noqa: BLE001
            error = raised
        with suppress(_Unwanted):
            put(_End(error))

    thread = threading.Thread(target=run, name="movierec-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = made.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        wanted.clear()
        thread.join()
