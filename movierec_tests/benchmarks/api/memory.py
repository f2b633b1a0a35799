"""Many requests at full load: failures, and the memory of a worker before and after them.

Belongs here: counting and memory. Does not: rates (`rates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from movierec_assets.progress import Log
from movierec_tests.benchmarks.api.driver import send
from movierec_tests.benchmarks.api.plan import Asked, Found, Plan
from movierec_tests.benchmarks.api.rates import CONNECTIONS

_SECONDS = 1200.0


@dataclass(frozen=True)
class Memory:
    """Memory of a worker, in MB.

    Attributes
    ----------
    resident : float
        With pages that are mapped from files, which workers share.
    own : float
        Pages that no other process has.
    """

    resident: float
    own: float

    @classmethod
    def of(cls, pid: int) -> Memory:
        """Memory of a process now."""
        process = psutil.Process(pid)
        full = process.memory_full_info()
        return cls(process.memory_info().rss / 1e6, full.uss / 1e6)


@dataclass(frozen=True)
class Soak:
    """Many requests.

    Attributes
    ----------
    load : Found
    before, after : Memory
        Of the first worker.
    """

    load: Found
    before: Memory
    after: Memory


def measure(port: int, asked: Sequence[Asked], workers: Sequence[int], *, count: int, log: Log) -> Soak:
    """Send so many requests at full load."""
    before = Memory.of(workers[0])
    found = send(Plan(port, [*asked], CONNECTIONS, _SECONDS, count=count, processes=[*workers]))
    after = Memory.of(workers[0])
    log(
        f"{found.answered:,} requests, {found.errors} failed; memory of the worker {before.resident:.0f} MB before, "
        f"{after.resident:.0f} MB after"
    )
    return Soak(found, before, after)
