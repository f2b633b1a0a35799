"""When users rate: the sittings of each user, and the seconds within a sitting.

Belongs here: time. Does not: films, whose years `watching` compares with sittings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.generator.habits import Habits

IntArray = npt.NDArray[np.int64]

DAY = 86_400
FIRST_SECOND = int(np.datetime64("1995-01-09T08:00:00", "s").astype(np.int64))
LAST_SECOND = int(np.datetime64("2015-03-31T23:59:59", "s").astype(np.int64))
HALF_STARS_SINCE = int(np.datetime64("2003-02-18", "s").astype(np.int64))
"""Before, MovieLens offered whole stars only."""

FIRST_YEAR, LAST_YEAR = 1995, 2015

# Users that arrive in a year, in the proportions of the ratings of ml-20m by year.
_ARRIVALS = np.array(
    [1, 161, 70, 31, 120, 195, 119, 87, 104, 117, 180, 117, 105, 116, 93, 90, 77, 73, 60, 56, 14], dtype=np.float64
)

_LARGEST_SITTING = 400
_MAX_SITTINGS = 4_000
_SHORTEST_BREAK = 1.5  # days
_USUAL_BREAK, _BREAK_SPREAD = 20.0, 1.3

_SAME_SECOND = 0.08
_USUAL_PAUSE, _PAUSE_SPREAD, _MAX_PAUSE = 9.0, 1.1, 900.0  # seconds


@dataclass(frozen=True)
class Sittings:
    """Sittings of all users, in order of user, then time.

    Attributes
    ----------
    first : int array, shape (n_users + 1,)
        Index of each user's first sitting; the last entry is the number of sittings.
    start : int array, shape (n_sittings,)
        Unix seconds; sittings of a user are more than a day apart.
    """

    first: IntArray
    start: IntArray

    def year_of(self, sittings: IntArray) -> npt.NDArray[np.int16]:
        """Calendar year of sittings, given their indices; in UTC."""
        return (self.start[sittings].astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970).astype(
            np.int16
        )


def arrange_sittings(ratings: IntArray, first_year: IntArray, habits: Habits, rng: np.random.Generator) -> Sittings:
    """Draw the number and the times of each user's sittings.

    Parameters
    ----------
    ratings : int array, shape (n_users,)
        Number of ratings of each user.
    first_year : int array, shape (n_users,)
        Earliest year of a user's first sitting; one user comes on the first day all the same.
    habits : Habits
    rng : Generator

    Returns
    -------
    Sittings
        At least one for each user and at most one for each page of ratings. The earliest starts at `FIRST_SECOND`,
        the latest on the day of `LAST_SECOND`.
    """
    users = len(ratings)
    more = 1 + np.rint(rng.exponential(ratings / habits.ratings_per_sitting))
    wanted = np.where(rng.random(users) < habits.one_sitting, 1, 1 + more)
    wanted = np.maximum(wanted, ratings // _LARGEST_SITTING + 1)
    if users == 1:
        wanted[:] = np.maximum(wanted, 2)  # the only user is there on the first day and on the last
    count = np.minimum(wanted, np.minimum(_MAX_SITTINGS, pages_of(ratings, habits))).astype(np.int64)
    first = np.concatenate(([0], np.cumsum(count)))

    start = np.maximum(_arrivals(users, rng), _new_year(first_year) + (rng.random(users) * 300 * DAY).astype(np.int64))
    last_day = LAST_SECOND - DAY
    start = np.minimum(start, last_day - np.ceil(_SHORTEST_BREAK * DAY * count).astype(np.int64))
    start[np.argmin(start)] = FIRST_SECOND

    extra = _USUAL_BREAK * np.exp(_BREAK_SPREAD * rng.standard_normal(first[-1])) * DAY
    extra[first[:-1]] = 0.0
    number = np.arange(first[-1]) - np.repeat(first[:-1], count)
    offset = cumulative_within(extra, first[:-1], count)
    longest = offset[first[1:] - 1]
    room = np.maximum(0, last_day - start - _SHORTEST_BREAK * DAY * count)
    squeeze = np.minimum(1.0, room / np.maximum(longest, 1.0))
    seconds = np.repeat(start, count) + (number * _SHORTEST_BREAK * DAY + offset * np.repeat(squeeze, count)).astype(
        np.int64
    )
    latest = first[1:] - 1
    latest_user = int(np.argmax(np.where((count > 1) | (start > start.min()), seconds[latest], 0)))
    seconds[latest[latest_user]] = LAST_SECOND - DAY // 2
    return Sittings(first, seconds)


def _arrivals(users: int, rng: np.random.Generator) -> IntArray:
    """Seconds of the users' arrivals."""
    edges = _new_year(np.arange(FIRST_YEAR, LAST_YEAR + 2))
    cumulative = np.concatenate(([0.0], np.cumsum(_ARRIVALS)))
    at = np.interp(rng.random(users), cumulative / cumulative[-1], edges.astype(np.float64))
    return np.clip(at.astype(np.int64), FIRST_SECOND + DAY, LAST_SECOND - DAY)


def _new_year(year: IntArray) -> IntArray:
    """First second of years."""
    return (year - 1970).astype("datetime64[Y]").astype("datetime64[s]").astype(np.int64)


def pages_of(ratings: IntArray, habits: Habits) -> IntArray:
    """Number of pages of users with these numbers of ratings."""
    return -(-ratings // habits.page)


def pauses(count: int, rng: np.random.Generator) -> IntArray:
    """Seconds between a rating and the one before; some are 0."""
    drawn = np.exp(np.log(_USUAL_PAUSE) + _PAUSE_SPREAD * rng.standard_normal(count, dtype=np.float32))
    together = rng.random(count, dtype=np.float32) < _SAME_SECOND
    return np.where(together, 0, np.clip(np.ceil(drawn), 1, _MAX_PAUSE)).astype(np.int64)


def cumulative_within(values: npt.NDArray[Any], first: IntArray, count: IntArray) -> npt.NDArray[Any]:
    """Running sums that start again at each group; groups are contiguous and not empty."""
    running = np.cumsum(values)
    before = running[first] - values[first]
    sums: npt.NDArray[Any] = running - np.repeat(before, count)
    return sums
