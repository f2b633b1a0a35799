"""The reference machine: its measured times, the limits that were set on it, and how much slower this machine is.

Belongs here: every number that holds for that one machine only. Does not: ratios, such as limits in bare fits, which
are in `targets`.

Source: a virtual machine with 2 cores that ran nothing else, over generated ratings of the size of MovieLens 20M:
138,000 users, 27,000 movies, 19 million ratings, 9.3 million positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from movierec_tests.benchmarks.bare_copy import BareCopy
from movierec_tests.benchmarks.bare_fit import ITERATIONS, BareFit
from movierec_tests.benchmarks.stages import EVALUATE, LOAD, PREPARE, RECOMMEND, REFRESH

FIT_SECONDS_PER_POSITIVE = 1.3 / 9.3e6
"""One iteration of the bare fit, 64 factors."""
COPY_SECONDS_PER_RATING = 1 / 4.5e6
"""COPY into Postgres."""
KEY_SECONDS_PER_RATING = 3.5 / 19e6
"""The primary key of a loaded table."""

STAGE_LIMITS = {LOAD: 25.0, REFRESH: 4.0, PREPARE: 12.0, EVALUATE: 10.0, RECOMMEND: 12.0}
"""Seconds that a stage may take there at the size of MovieLens 20M."""
APPEND_LIMIT = 5.0
"""Seconds that loading 100,000 appended ratings may take there."""


@dataclass(frozen=True)
class SpeedFactors:
    """How many times as long as the reference machine this machine takes.

    Attributes
    ----------
    fit, copy, key : float
        For the bare fit, for COPY into Postgres, and for a primary key.
    """

    fit: float
    copy: float
    key: float

    @classmethod
    def of(cls, bare_fit: BareFit, bare_copy: BareCopy, ratings: int) -> Self:
        """Compare what was measured in the same run with the reference machine."""
        return cls(
            fit=bare_fit.seconds / (ITERATIONS * bare_fit.positives * FIT_SECONDS_PER_POSITIVE),
            copy=bare_copy.copy_in / (ratings * COPY_SECONDS_PER_RATING),
            key=bare_copy.primary_key / (ratings * KEY_SECONDS_PER_RATING),
        )

    @property
    def allowance(self) -> float:
        """Limits in seconds may be exceeded by this factor: the least of the three, at least 1."""
        return max(1.0, min(self.fit, self.copy, self.key))
