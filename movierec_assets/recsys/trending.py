"""Which movies are liked more now than before: a cautious estimate of the ratio of their rates.

Belongs here: the period that counts as now, counting likes, and the score. Does not: the table (`defs.charts`).

Times are those of the data: "now" ends with the latest like, however old it is.

References
----------
DuMouchel (1999), Bayesian data mining in large frequency tables, with an application to the FDA spontaneous reporting
system: a gamma prior for ratios of observed to expected counts, and their 5 % quantile as the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

from movierec_assets.recsys.interactions import FloatArray, IntArray

STEP_DAYS = 28
"""The period is four weeks, or the smallest multiple of four weeks that holds enough likes."""
ENOUGH_LIKES = 1000
ENOUGH_SHARE = 0.1
"""Of all likes, where a tenth of them is fewer."""
YEAR_DAYS = 364
"""The period before is a year, or as long as the period itself."""
PRIOR = 2.0
"""Likes that each movie has beside its own, as many as expected: few likes say little."""
CAUTION = 0.05
"""Probability that the true ratio is below the score."""
MIN_LIKES = 2
_DAY = 86_400


@dataclass(frozen=True)
class Periods:
    """The period that counts as now, and the one before it; days since 1970, in UTC.

    Attributes
    ----------
    before, since, until : int
        First day of the period before, first day of now, and the day after its last one.
    """

    before: int
    since: int
    until: int


def periods_of(days: IntArray, likes: IntArray) -> Periods | None:
    """The latest period with enough likes, and the one before it.

    Parameters
    ----------
    days : int array, shape (n,)
        Days with likes, each once.
    likes : int array, shape (n,)
        Number of likes on each.

    Returns
    -------
    Periods or None
        None without likes.
    """
    if not len(days):
        return None
    order = np.argsort(-days)
    days, likes = days[order], likes[order]
    # A time of more than a step without a like is no part of a period: people may like again years after a file's end.
    back = np.cumsum(np.minimum(-np.diff(days, prepend=days[0]), STEP_DAYS))
    enough = min(float(ENOUGH_LIKES), ENOUGH_SHARE * float(likes.sum()))
    last = int(np.searchsorted(np.cumsum(likes), enough))
    length = STEP_DAYS * (int(back[last]) // STEP_DAYS + 1)
    until = int(days[0]) + 1
    without_likes = int(days[0] - days[last] - back[last])
    since = until - length - without_likes
    return Periods(since - max(YEAR_DAYS, length), since, until)


def likes_by_day(rated_at: IntArray) -> tuple[IntArray, IntArray]:
    """Days with likes, as days since 1970 in UTC, and the number of likes on each.

    Parameters
    ----------
    rated_at : int64 array, shape (n_likes,)
        Unix seconds.
    """
    if not len(rated_at):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    days = rated_at // _DAY
    first = int(days.min())
    likes = np.bincount(days - first)
    found = np.flatnonzero(likes)
    return found + first, likes[found]


def likes_in_periods(movie_id: IntArray, rated_at: IntArray, periods: Periods) -> tuple[IntArray, IntArray, IntArray]:
    """Movies that were liked in either period, increasing, and the likes of each now and before.

    Parameters
    ----------
    movie_id : int array, shape (n_likes,)
    rated_at : int64 array, shape (n_likes,)
        Unix seconds.
    periods : Periods
    """
    within = (rated_at >= _DAY * periods.before) & (rated_at < _DAY * periods.until)
    is_now = rated_at[within] >= _DAY * periods.since
    movies, places = np.unique(movie_id[within], return_inverse=True)
    now = np.bincount(places[is_now], minlength=len(movies))
    before = np.bincount(places[~is_now], minlength=len(movies))
    return movies.astype(np.int64), now, before


@dataclass(frozen=True)
class Trending:
    """Movies that are liked more now than before, the highest score first.

    Attributes
    ----------
    movies : int array, shape (n,)
        Their places in the counts.
    scores : float64 array, shape (n,)
        At the least, how many times as often as expected the movie is liked now, with 95 % probability.
    expected : float64 array, shape (n,)
        Likes that the movie would have now with its share of the likes before.
    """

    movies: IntArray
    scores: FloatArray
    expected: FloatArray


def trending(likes: IntArray, likes_before: IntArray) -> Trending:
    """Rank movies by the increase of their share of all likes.

    A movie has likes at some ratio to the expected rate. The ratio has a gamma prior with mean 1, and the score is the
    5 % quantile of its posterior, so that a movie with few likes needs a larger increase. Movies with one like, or not
    more than expected, are left out.

    Parameters
    ----------
    likes, likes_before : int array, shape (n,)
        Likes of each movie in both periods.
    """
    expected = likes_before * (likes.sum() / max(int(likes_before.sum()), 1))
    scores = gammaincinv(likes + PRIOR, CAUTION) / (expected + PRIOR)
    rising = np.flatnonzero((likes >= MIN_LIKES) & (likes > expected))
    order = rising[np.lexsort((rising, -likes[rising], -scores[rising]))]
    return Trending(order, scores[order], expected[order])
