"""Processes that are killed under load, and what clients saw.

Belongs here: the kill and the counts after it. Does not: starting processes again, which is the service's own work.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from movierec_assets.progress import Log
from movierec_tests.benchmarks.api.driver import started
from movierec_tests.benchmarks.api.plan import Asked, Found, Plan

CONNECTIONS = 16
RATE = 200.0
"""Requests per second: far from full load, so that what fails, fails because of the kill."""
SOURCE = r'"source": ?"(\w+)"'
_SECONDS_BEFORE = 3.0


@dataclass(frozen=True)
class Kill:
    """A process that was killed under load.

    Attributes
    ----------
    process : str
        What was killed.
    load : Found
        With the sources of the answers noted.
    at : float
        Second of the load when the process was killed.
    failed : dict of int
        Requests that were not answered with 2xx after the kill, by status or reason.
    back_after : float
        Seconds, whole ones, from the kill to the end of the last second with a failed request; 0 when none failed.
    """

    process: str
    load: Found
    at: float
    failed: dict[str, int]
    back_after: float

    @property
    def sources(self) -> dict[str, int]:
        """Answers by source; "" where an answer names none."""
        found: Counter[str] = Counter()
        for source, _, count in self.load.noted:
            found[source] += count
        return dict(found)


def measure(process: str, pid: int, port: int, asked: Sequence[Asked], *, seconds: float, log: Log) -> Kill:
    """Kill a process three seconds into a load, and watch the load until its end.

    Parameters
    ----------
    process : str
        Its name in the report.
    pid, port : int
    asked : sequence of requests
    seconds : float
        Of the load after the kill.
    log : callable
    """
    plan = Plan(port, [*asked], CONNECTIONS, _SECONDS_BEFORE + seconds, rate=RATE, note=SOURCE)
    with started(plan) as load:
        time.sleep(_SECONDS_BEFORE + 1)  # one for the start of the generator
        killed = time.time()
        os.kill(pid, signal.SIGKILL)
        found = load.found()
    at = killed - found.started
    failed: Counter[str] = Counter()
    last = at
    for second, what, count in found.by_second:
        if second >= int(at) and not what.startswith("2"):
            failed[what] += count
            last = max(last, second + 1.0)
    kill = Kill(process, found, at, dict(failed), round(last - at, 1))
    log(f"kill -9 of {process}: {described(kill)}")
    return kill


def described(kill: Kill) -> str:
    """What clients saw, in a few words."""
    if not kill.failed:
        return f"all {kill.load.answered:,} requests were answered"
    parts = ", ".join(f"{count} x {what}" for what, count in sorted(kill.failed.items()))
    return f"{parts}; none failed later than {kill.back_after:.1f} s after it"
