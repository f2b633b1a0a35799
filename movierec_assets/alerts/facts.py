"""The state of the platform, as plain values.

Belongs here: what is compared to find causes of alerts. Does not: reading it (`defs.alerting`), and which of it is
wrong (`causes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # workers of the API import alerts, and no polars
    from movierec_assets.datasets.keep import AbsentDataset


@dataclass(frozen=True)
class EndedRun:
    """A run that succeeded or failed.

    Attributes
    ----------
    run_id, job : str
    ended : datetime
    planned : frozenset of str
        Steps that it was to execute.
    done : frozenset of str
        Steps that succeeded; `planned` when the run did.
    failed : mapping of str
        Error of each step that failed, in the order of failure, without steps that a failed check stopped.
    checks_failed : bool
        Whether a failed check stopped a step.
    error : str
        Why the run failed, where no step did.
    """

    run_id: str
    job: str
    ended: datetime
    planned: frozenset[str]
    done: frozenset[str]
    failed: Mapping[str, str] = field(default_factory=dict)
    checks_failed: bool = False
    error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether every step did."""
        return not (self.failed or self.error or self.checks_failed)


@dataclass(frozen=True)
class FailedCheck:
    """The latest evaluation of a blocking check, when it failed."""

    asset: str
    check: str
    description: str
    run_id: str


@dataclass(frozen=True)
class Decided:
    """A decision about a challenger that was carried out."""

    version: int
    outcome: str
    reason: str


@dataclass(frozen=True)
class Ticks:
    """The latest ticks of a schedule or sensor.

    Attributes
    ----------
    name : str
    is_schedule : bool
    errors : sequence of (str or None)
        Error of each tick that has ended, newest first; None where it did not fail.
    """

    name: str
    is_schedule: bool
    errors: Sequence[str | None]


@dataclass(frozen=True)
class Facts:
    """State of the platform.

    Attributes
    ----------
    runs : sequence of EndedRun
        Newest first.
    checks : sequence of FailedCheck
    decisions : sequence of Decided
        Newest first, at least three of them where there are so many.
    made_at : mapping of str to datetime
        Latest materialization of each asset that users depend on; assets without one are left out.
    fresh_for : mapping of str to timedelta
        Age up to which these assets count as fresh.
    champion : int or None
    served : mapping of str to int or None
        Version in each serving table, None when it has no rows.
    loss : str or None
        How the champion was lost.
    free : mapping of Path to int
        Free bytes of the file systems of these directories.
    min_free : int
    channels : mapping of str
        Error of each channel that does not work.
    ticks : sequence of Ticks
        Of each schedule and sensor that is on.
    absent : AbsentDataset or None
        The loaded dataset, when its files are gone or are another one.
    """

    runs: Sequence[EndedRun] = ()
    checks: Sequence[FailedCheck] = ()
    decisions: Sequence[Decided] = ()
    made_at: Mapping[str, datetime] = field(default_factory=dict)
    fresh_for: Mapping[str, timedelta] = field(default_factory=dict)
    champion: int | None = None
    served: Mapping[str, int | None] = field(default_factory=dict)
    loss: str | None = None
    free: Mapping[Path, int] = field(default_factory=dict)
    min_free: int = 0
    channels: Mapping[str, str] = field(default_factory=dict)
    ticks: Sequence[Ticks] = ()
    absent: AbsentDataset | None = None
