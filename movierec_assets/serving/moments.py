"""The moment of a request: how long after the user's latest like it is, and how much the next-movie signal counts.

Belongs here: the moment of one answer, its name, and notes for people. Does not: the fading itself (`recsys.moment`),
and reading times (`datasets.times`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

from movierec_assets.recsys import moment
from movierec_assets.recsys.recommender import Recommender

SITTING_SECONDS = moment.HOUR
"""A request within this time of the latest like is in the sitting: in MovieLens, most likes of a sitting are."""

LATEST: Literal["latest"] = "latest"
"""As the time of a request: right after the user's latest like."""


@dataclass(slots=True)
class Moment:
    """The moment that a list is made for.

    Attributes
    ----------
    name : {"in the sitting", "on return"}
    elapsed_seconds : int
        Between the latest like and the request.
    signal : float
        Share of the next-movie signal that is left after this time, in [0, 1]; 0 for a model without one.
    note : str or None
        What is unusual about the time, for a person.
    """

    name: Literal["in the sitting", "on return"]
    elapsed_seconds: int
    signal: float
    note: str | None = None

    @classmethod
    def after(cls, elapsed: int, recommender: Recommender, note: str | None = None) -> Self:
        """The moment some seconds after the latest like."""
        share = float(moment.fade(recommender.recipe.next_movie, elapsed)) if recommender.scorer.on else 0.0
        return cls("in the sitting" if elapsed <= SITTING_SECONDS else "on return", elapsed, share, note)

    @classmethod
    def of(cls, at: int | Literal["latest"] | None, latest_like: int, recommender: Recommender) -> Self:
        """The moment of a request.

        Parameters
        ----------
        at : int, "latest" or None
            Unix seconds; None for now.
        latest_like : int
            Unix seconds of the user's latest like.
        recommender : Recommender
        """
        if at == LATEST:
            return cls.after(0, recommender)
        asked = int(time.time()) if at is None else at
        if asked >= latest_like:
            return cls.after(asked - latest_like, recommender)
        like = f"the user's latest like, of {_text(latest_like)}"
        found = f"The clock says {_text(asked)}, which" if at is None else f"{_text(asked)}"
        return cls.after(0, recommender, f"{found} is before {like}. The list is made for right after that like.")

    @property
    def text(self) -> str:
        """The moment in words."""
        ago = "right after" if self.elapsed_seconds < 1 else f"{_duration(self.elapsed_seconds)} after"
        counts = f"the next-movie signal counts {self.signal:.0%}" if self.signal else "without the next-movie signal"
        return f"{self.name.capitalize()}, {ago} the latest like; {counts}"


def _text(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def _duration(seconds: int) -> str:
    """A number of seconds in the largest unit that fits."""
    for unit, size in (("year", 31_557_600), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number:,} {unit}{'s' if number > 1 else ''}"
    return f"{seconds} second{'s' if seconds > 1 else ''}"
