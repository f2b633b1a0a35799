"""Statistics of the stars and times of a file, collected block by block while it is read.

Belongs here: the statistics and two conclusions: the likely scale of the stars, and whether users rated at different
times. Does not: whether a file is refused (`judgement`).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.rejects import RejectReason
from movierec_assets.ratings import ELIGIBLE_ABOVE

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

HIGHEST_RATING = 5.0


class Evidence:
    """Statistics of the ratings of a file.

    Attributes
    ----------
    highest : float
        Highest rating that loads; minus infinity without one.
    accepted : int
        Ratings that load.
    off_grid : float array
        Distinct ratings that are not half stars from 0.5 to 5, ascending; at most a few hundred.
    unknown : dict of int to int
        Number of rows of each unknown movie.
    impossible_times, zero_times : int
        Number of rows with an impossible time; among them, number of rows with time 0.
    """

    _MAX_VALUES = 300

    def __init__(self) -> None:
        self.highest = -math.inf
        self.accepted = 0
        self.off_grid: FloatArray = np.empty(0)
        self._off_grid_rows: IntArray = np.empty(0, np.int64)
        self.unknown: dict[int, int] = {}
        self.impossible_times = self.zero_times = 0
        self.times = Times()

    def add(
        self, user_id: IntArray, rating: FloatArray, rated_at: IntArray, code: npt.NDArray[np.uint8], detail: IntArray
    ) -> None:
        """Add some rows; `code` is the reason of each row that does not load, and 0 for the others."""
        good = code == 0
        loaded = rating[good]
        self.accepted += len(loaded)
        if len(loaded):
            self.highest = max(self.highest, float(loaded.max()))
        self.times.add(user_id, rated_at, good)
        off = rating[code == RejectReason.RATING_GRID]
        if len(off):
            values, index = np.unique(np.append(self.off_grid, off), return_inverse=True)
            rows = np.append(self._off_grid_rows, np.ones(len(off), np.int64))
            rows = np.bincount(index.ravel(), rows).astype(np.int64)
            # The most frequent, the highest and the lowest values: a file of random numbers has a million values.
            kept = np.zeros(len(values), np.bool_)
            kept[np.argsort(-rows, kind="stable")[: self._MAX_VALUES]] = True
            kept[[0, -1]] = True
            self.off_grid, self._off_grid_rows = values[kept], rows[kept]
        impossible = detail[code == RejectReason.TIMESTAMP_RANGE]
        self.impossible_times += len(impossible)
        self.zero_times += int((impossible == 0).sum())
        movies = detail[code == RejectReason.UNKNOWN_MOVIE]
        for movie, count in zip(*(each.tolist() for each in np.unique(movies, return_counts=True)), strict=True):
            self.unknown[movie] = self.unknown.get(movie, 0) + count

    def scale(self) -> str | None:
        """The likely scale of ratings that are not half stars, and the remedy; None without such ratings."""
        values, rows = self.off_grid, self._off_grid_rows
        if len(values) == 0:
            return None
        often = values[np.cumsum(rows[::-1])[::-1] >= max(1, 0.02 * rows.sum())]  # without a few slips at the top
        top, low = float(often[-1]), float(values[0])
        whole = bool((values == np.floor(values)).all())
        return self._high(top, whole=whole) if top > HIGHEST_RATING else self._low(low, whole=whole)

    @staticmethod
    def _high(top: float, *, whole: bool) -> str:
        rounded = "" if whole else " and round to the nearest half"
        if top > 100:
            return f"Ratings go up to {top:,g}. Is another column in the place of the rating?"
        if top > 10:
            return (
                f"Ratings go up to {top:g}: is this a 0 to 100 scale? Divide by twenty and round to the nearest half."
            )
        return f"Ratings go up to {top:g}: is this a 1 to 10 scale? Divide by two{rounded}."

    def _low(self, low: float, *, whole: bool) -> str:
        if max(float(self.off_grid[-1]), self.highest) > 1:
            if whole:
                return (
                    f"Ratings go down to {low:g}: does {low:g} stand for no rating? Leave these rows out, or write 0.5."
                )
            example = next(float(value) for value in self.off_grid if value != math.floor(value))
            return f"Ratings such as {example:g} lie between half stars: round to the nearest half."
        if whole:
            return (
                f"Ratings are {low:g} and 1 only: are these thumbs up and down? "
                "Write 5 for a thumb up and 1 for a thumb down."
            )
        return (
            f"Ratings lie between {low:g} and 1: is this a 0 to 1 scale? "
            "Multiply by five and round to the nearest half."
        )


class Times:
    """Whether users rated at different times; collects no more than is needed to know.

    Parameters
    ----------
    enough : int
        Number of eligible users with two different times after which nothing more is collected.
    """

    def __init__(self, enough: int = 100) -> None:
        self._enough = enough
        self._settled = False
        self._users = self._counts = self._first = self._last = np.empty(0, np.int64)

    def add(self, user_id: IntArray, rated_at: IntArray, chosen: npt.NDArray[np.bool_]) -> None:
        """Add the chosen rows."""
        if self._settled or not chosen.any():
            return
        user, at = user_id[chosen], rated_at[chosen]
        users = np.concatenate([self._users, user])
        counts = np.concatenate([self._counts, np.ones(len(user), np.int64)])
        first, last = np.concatenate([self._first, at]), np.concatenate([self._last, at])
        order = np.argsort(users, kind="stable")
        self._users, starts = np.unique(users[order], return_index=True)
        self._counts = np.add.reduceat(counts[order], starts)
        self._first = np.minimum.reduceat(first[order], starts)
        self._last = np.maximum.reduceat(last[order], starts)
        self._settled = self.ordered >= self._enough

    @property
    def eligible(self) -> int:
        """Number of users with enough ratings to be learned from."""
        return int((self._counts > ELIGIBLE_ABOVE).sum())

    @property
    def ordered(self) -> int:
        """Number of eligible users who rated at two or more different times."""
        return int(((self._counts > ELIGIBLE_ABOVE) & (self._first < self._last)).sum())

    def fault(self, needed: int) -> str | None:
        """Why too few users rated at different times; None when enough did.

        Parameters
        ----------
        needed : int
            Users who must have rated at different times, if so many are eligible.
        """
        if self._settled:
            return None
        eligible, ordered = self.eligible, self.ordered
        if eligible == 0 or (ordered and not eligible >= needed > ordered):
            return None
        if ordered:
            return (
                f"only {ordered:,} of the {eligible:,} users with more than {ELIGIBLE_ABOVE} ratings rated at two "
                f"different times or more; at least {needed:,} are needed (MOVIEREC_MIN_EVALUATED_USERS)"
            )
        if self._first.min() == self._last.max():
            at = datetime.fromtimestamp(int(self._first[0]), UTC)
            return f"all ratings have one time, {self._first[0]} ({at:%Y-%m-%d %H:%M:%S} UTC)"
        return f"all ratings of a user have one time, for each of the {eligible:,} users who have enough ratings"
