"""Is one ranker better than another on the same users? Bootstrap intervals of means and of paired differences.

Belongs here: uncertainty of per-user scores. The scores come from `metrics`; what follows from a difference is
decided in `promotion`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap confidence interval."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: FloatArray, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Percentile bootstrap of the mean over users.

    Parameters
    ----------
    values : float array, shape (n_users,)
        One score, or one difference of scores, for each user.
    confidence : float
        Share of resampled means inside the interval.

    Returns
    -------
    Interval

    Raises
    ------
    RecsysError
        When there is no user, or a score is not a number.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    if len(values) == 0:
        raise RecsysError("There is no user to compare on.")
    if not np.isfinite(values).all():
        raise RecsysError("A score is not a number; compare on users with something held out.")
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    # A block of resamples at a time, so that memory stays at about 8 MB whatever the number of users.
    block = max(1, 1_000_000 // len(values))
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        means[start : start + count] = values[random.integers(0, len(values), (count, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def paired_difference(challenger: FloatArray, other: FloatArray, **options: float | int) -> Interval:
    """Bootstrap of the mean difference between two rankers over identical users.

    Parameters
    ----------
    challenger, other : float array, shape (n_users,)
        Scores of the same users in the same order.

    Raises
    ------
    RecsysError
        When the arrays do not have the same users, or as `mean_interval` does.
    """
    if challenger.shape != other.shape:
        raise RecsysError(f"Not the same users: {challenger.shape} and {other.shape} scores.")
    return mean_interval(challenger - other, **options)  # type: ignore[arg-type]
