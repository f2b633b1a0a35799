"""The number of threads that compute: our own or `implicit`'s, and no BLAS threads beside them.

Belongs here: the number of threads, and limiting BLAS to one. Does not: the work of the threads.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache

# Libraries that bring a BLAS of their own are loaded before the controller looks for them.
import implicit.cpu.als  # noqa: F401
import numpy as np  # noqa: F401
import scipy.linalg  # noqa: F401
from threadpoolctl import ThreadpoolController

ALL_CORES = 0
"""As a number of threads: one for each core of the machine."""


def thread_count(threads: int) -> int:
    """The number of threads, with `ALL_CORES` resolved."""
    return threads or os.cpu_count() or 1


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread for a while; finding the libraries, which takes milliseconds, happens once."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited
