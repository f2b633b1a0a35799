"""Making the next block while the last one is used.

Belongs here: the thread behind it. What the blocks are is the callers' matter.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Put behind the last item: that there are no more, or why."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterator[T], depth: int = 1) -> Iterator[T]:
    """Run an iterator in a thread, at most `depth` items ahead; what it raises is raised here.

    Whoever stops early closes the result, as garbage collection does.
    """
    made: queue.Queue[T | _End] = queue.Queue(depth)
    wanted = threading.Event()
    wanted.set()

    def put(item: T | _End) -> None:
        while wanted.is_set():
            with suppress(queue.Full):
                made.put(item, timeout=0.2)
                return

    def make() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                put(item)
                if not wanted.is_set():
                    break
        except BaseException as raised:  # noqa: BLE001
            error = raised
        put(_End(error))

    thread = threading.Thread(target=make, name="movierec-ahead", daemon=True)
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
