"""Who computes in parallel: our own threads, or `implicit`'s, but not those of BLAS on top.

Belongs here: telling BLAS so. What runs in threads is the callers' matter.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

# Whatever brings a BLAS of its own is loaded before the controller looks for them.
import implicit.cpu.als  # noqa: F401
import numpy as np  # noqa: F401
import scipy.linalg  # noqa: F401
from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread for a while; finding the libraries, which takes milliseconds, happens once."""
    found: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return found
