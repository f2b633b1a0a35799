"""Changes of the champion under load: failed requests, and answers that name a version which is champion no more.

Belongs here: comparing the answers with the times of the changes. Does not: the registry (`promotions`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.host import CommandError
from movierec_assets.progress import Log
from movierec_tests.benchmarks.api.driver import started
from movierec_tests.benchmarks.api.plan import Asked, Found, Plan
from movierec_tests.benchmarks.api.promotions import Change
from movierec_tests.benchmarks.api.rates import CONNECTIONS

GRACE_SECONDS = 30.0
"""How long a version may be named after it was champion."""
VERSION = r'"model_version": ?(\d+|null)'
_TENTH = 0.1
_SECONDS_FOR_A_CHANGE = 150.0


@dataclass(frozen=True)
class Changes:
    """Changes of the champion under full load.

    Attributes
    ----------
    load : Found
    changes : list of Change
    stale : int
        Answers that name a version which was not champion within the last 30 seconds, or none.
    """

    load: Found
    changes: list[Change]
    stale: int

    @property
    def seconds(self) -> list[float]:
        """From each change to the first answer that names the new version; infinite where none did."""
        return [float("inf") if each.answered is None else each.answered - each.done for each in self.changes]


def measure(
    port: int,
    asked: Sequence[Asked],
    workers: Sequence[int],
    environment: Mapping[str, str],
    *,
    user: int,
    count: int,
    log: Log,
) -> Changes:
    """Change the champion so many times under full load.

    Raises
    ------
    CommandError
        When the process that changes it fails.
    """
    with tempfile.TemporaryDirectory(prefix="movierec-changes-") as directory:
        result = Path(directory) / "changes.json"
        command = [sys.executable, "-m", "movierec_tests.benchmarks.api.promotions"]
        process = subprocess.Popen(
            [*command, str(port), str(user), str(count), str(result)], env=dict(environment), stdout=2
        )
        plan = Plan(port, [*asked], CONNECTIONS, count * _SECONDS_FOR_A_CHANGE, note=VERSION, processes=[*workers])
        try:
            with started(plan) as load:
                if process.wait(plan.seconds):
                    raise CommandError("Changing the champion failed; the output above says why.")
                load.stop()
                found = load.found()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        values = json.loads(result.read_text(encoding="utf-8"))
    changes = [Change(**each) for each in values["changes"]]
    stale = stale_answers(found, values["first"], changes)
    measured = Changes(found, changes, stale)
    log(
        f"{count} changes of the champion: answered from after at most {max(measured.seconds):.1f} s; "
        f"{found.errors} of {found.answered:,} requests failed, {stale} named an earlier version"
    )
    return measured


def stale_answers(found: Found, first: int, changes: Sequence[Change]) -> int:
    """Answers that name a version which was not champion within the last 30 seconds.

    Parameters
    ----------
    found : Found
        With the versions noted.
    first : int
        Champion before the changes.
    changes : sequence of Change
    """
    begins = [(first, float("-inf")), *((each.version, each.begun) for each in changes)]
    ends = [*(each.done for each in changes), float("inf")]
    spans = [(str(version), begin, end + GRACE_SECONDS) for (version, begin), end in zip(begins, ends, strict=True)]
    return sum(
        count
        for text, tenth, count in found.noted
        if not any(text == version and begin <= tenth + _TENTH and tenth <= end for version, begin, end in spans)
    )
