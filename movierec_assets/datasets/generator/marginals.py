"""The counts of generated ratings per user, per film and per star.

Belongs here: the distributions of MovieLens 20M, and fitting them to another size. Does not: which user rates which
film.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from movierec_assets.datasets.generator.size import MIN_RATINGS, Size

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]

STAR_COUNTS = np.array(
    [239_125, 680_732, 279_252, 1_430_997, 883_398, 4_291_193, 2_200_156, 5_561_926, 1_534_824, 2_898_660]
)
"""Ratings of ml-20m with 1 to 10 half stars."""

# Ratings of a user beyond `MIN_RATINGS` are log-normal with this spread up to the most active user of ml-20m, who
# has 64 times the mean; then the median is 68 where the mean is 144.
_ACTIVITY_SPREAD = 1.39
_MAX_ACTIVITY = 9_254 * 138_493 / 20_000_263

# Ratings of the n-th most rated film, about as in ml-20m: the most rated one and the quartiles are published, the
# points between are interpolated so that they add up.
_RANKS = np.array([1, 10, 100, 500, 1_000, 2_000, 4_000, 6_686, 13_372, 20_058, 26_744])
_POPULARITY = np.array([67_310, 50_000, 25_500, 9_700, 5_000, 2_150, 640, 205, 18, 3, 1])
_MAX_POPULARITY = 67_310 / 138_493


def ratings_per_user(size: Size) -> IntArray:
    """Number of ratings of each user, in increasing order.

    Returns
    -------
    int array, shape (users,)
        At least `MIN_RATINGS` and at most `size.rated` each; they add up to `size.ratings`.
    """
    mean = size.ratings / size.users
    largest = max(int(np.ceil(mean)), min(size.rated, size.max_per_user or size.rated, round(_MAX_ACTIVITY * mean)))
    room = largest - MIN_RATINGS
    excess = np.exp(_ACTIVITY_SPREAD * ndtri((np.arange(size.users) + 0.5) / size.users))

    def with_scale(log_scale: float) -> FloatArray:
        share = np.minimum(excess * np.exp(log_scale) / max(room, 1), 1e6)
        bounded: FloatArray = MIN_RATINGS + room * share / (1 + share**4) ** 0.25
        return bounded

    wanted = with_scale(_bisect(lambda x: float(with_scale(x).sum()), size.ratings, -30.0, 60.0))
    counts = np.clip(np.floor(wanted), MIN_RATINGS, largest).astype(np.int64)
    _settle(counts, size.ratings, wanted - counts, MIN_RATINGS, largest)
    return np.sort(counts)


def ratings_per_film(size: Size) -> FloatArray:
    """Expected number of ratings of each rated film, in decreasing order.

    Returns
    -------
    float array, shape (rated,)
        Between 1 and the number of users; they add up to about `size.ratings`.
    """
    mean_share = size.ratings / size.users / size.rated
    largest = max(_MAX_POPULARITY, mean_share**0.5) * size.users
    position = np.linspace(_RANKS[0], _RANKS[-1], size.rated)
    shape = np.interp(np.log(position), np.log(_RANKS), np.log(_POPULARITY / _POPULARITY[0]))

    def with_steepness(log_steepness: float) -> FloatArray:
        expected: FloatArray = np.maximum(1.0, largest * np.exp(np.exp(log_steepness) * shape))
        return expected

    return with_steepness(_bisect(lambda x: -float(with_steepness(x).sum()), -size.ratings, -30.0, 5.0))


def star_quotas(ratings: int, counts: IntArray = STAR_COUNTS) -> IntArray:
    """Whole numbers in the proportions of `counts` that add up to `ratings`, by largest remainder."""
    exact = counts * (ratings / max(1, counts.sum()))
    quotas: IntArray = np.floor(exact).astype(np.int64)
    missing = ratings - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    return quotas


def _bisect(increasing: Callable[[float], float], target: float, low: float, high: float) -> float:
    """The largest argument found at which an increasing function is at most the target; `low` without one."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) <= target else (low, middle)
    return low


def _settle(counts: IntArray, total: int, remainder: FloatArray, smallest: int, largest: int) -> None:
    """Add or take single ratings, in place, largest remainder first, until they add up."""
    order = np.argsort(-remainder, kind="stable")
    while (missing := total - int(counts.sum())) != 0:
        step = 1 if missing > 0 else -1
        movable = order[(counts[order] < largest) if step > 0 else (counts[order] > smallest)]
        counts[movable[: abs(missing)]] += step
