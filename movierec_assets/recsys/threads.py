"""The threads that compute: our own or `implicit`'s, and no BLAS threads beside them.

Belongs here: the number of threads, handing tasks to them, and limiting BLAS to one. Does not: the tasks.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

# Libraries that bring a BLAS of their own are loaded before the controller looks for them.
import implicit.cpu.als  # noqa: F401
import numpy as np  # noqa: F401
import scipy.linalg  # noqa: F401
from threadpoolctl import ThreadpoolController

T = TypeVar("T")
R = TypeVar("R")

ALL_CORES = 0
"""As a number of threads: one for each core of the machine."""


def thread_count(threads: int) -> int:
    """The number of threads, with `ALL_CORES` resolved."""
    return threads or os.cpu_count() or 1


def in_threads(work: Callable[[T], None], tasks: Iterable[T], threads: int = ALL_CORES) -> None:
    """Do tasks in a number of threads, of which the calling one is one; each takes the next task when it is done.

    The first error of a task is raised. After an error or an interruption, no further task is begun.
    """
    waiting = deque(tasks)

    def work_on() -> None:
        try:
            while True:
                try:
                    task = waiting.popleft()
                except IndexError:
                    return
                work(task)
        finally:
            waiting.clear()

    others = min(thread_count(threads), len(waiting)) - 1
    if others < 1:
        work_on()
        return
    with ThreadPoolExecutor(others) as pool:
        working = [pool.submit(work_on) for _ in range(others)]
        work_on()
        for worker in working:
            worker.result()


def in_order(work: Callable[[T], R], tasks: Iterable[T], threads: int = ALL_CORES) -> Iterator[R]:
    """Results of tasks that a number of threads do, in the order of the tasks.

    Only as many tasks are begun ahead of the caller as there are threads, so few results wait in memory.
    """
    count = thread_count(threads)
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count) as pool:
        for task in tasks:
            begun.append(pool.submit(work, task))
            if len(begun) > count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread for a while; finding the libraries, which takes milliseconds, happens once."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited
