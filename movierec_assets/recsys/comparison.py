"""Is one ranker better than another on the same users? Intervals of means, of differences, and of a recipe's lead.

Belongs here: the uncertainty of per-user scores, from the choice of users and from the start values of fits. Does not:
the scores (`metrics`, `repeated_fits`) and the decision (`promotion`).
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import pdtr, stdtrit  # `scipy.stats` has the same, and takes half a second to import

from movierec_assets.progress import Progress
from movierec_assets.recsys.batches import batches
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray

RESAMPLES = 2000
NO_USER = "There is no user to compare on."

_BLOCK = 4_000_000
"""Numbers of draws computed at a time: 32 MB for any number of users, and enough for a fast product."""

_MANY_USERS = 10_000
"""Number of users from which the draws of single users are practically independent of each other."""
_CHUNK_USERS, _CHUNK_RESAMPLES = 8192, 64
_TIMES_DRAWN = np.searchsorted(pdtr(np.arange(12), 1.0), (np.arange(2**16) + 0.5) / 2**16).astype(np.uint8)
"""Poisson quantiles with mean 1 for 65,536 equally likely cases: the number of times that a user is drawn."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:z.4f} ({self.low:z.4f} to {self.high:z.4f})"

    @property
    def signed(self) -> str:
        """A difference for people."""
        return f"{self.mean:+.4f}, 95 % {self.low:+.4f} to {self.high:+.4f}"


@dataclass(frozen=True)
class FitSpread:
    """Spread of a mean lead over the same users between pairs of fits from different start values.

    Attributes
    ----------
    deviation : float
        Standard deviation of the mean lead of one pair of fits.
    freedom : float
        Degrees of freedom of the estimated deviation; infinite for a bound.
    source : str
        Of the deviation, for people: "5 pairs of fits".
    """

    deviation: float
    freedom: float
    source: str

    @classmethod
    def seen_in(cls, differences: FloatArray) -> Self:
        """Estimate the spread from several pairs of fits.

        Parameters
        ----------
        differences : float array, shape (n_users, n_fits)
            As for `lead`.

        Raises
        ------
        RecsysError
            When there is only one pair of fits, or no user.
        """
        users, fits = differences.shape
        if users == 0:
            raise RecsysError(NO_USER)
        if fits < 2:
            raise RecsysError("One pair of fits shows no spread between fits; fit from more starts, or pass a bound.")
        deviation = float(differences.mean(axis=0).std(ddof=1))
        return cls(deviation, fits - 1, f"{fits} pairs of fits")


def _sums(columns: FloatArray, groups: IntArray) -> FloatArray:
    """Sums of the rows of each group, shape (n_groups, n_columns)."""
    _, group = np.unique(groups, return_inverse=True)
    n_groups = int(group.max(initial=-1)) + 1
    return np.stack([np.bincount(group, weights=column, minlength=n_groups) for column in columns.T], axis=1)


def mean_intervals(
    columns: FloatArray,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: IntArray | None = None,
    progress: Progress | None = None,
) -> list[Interval]:
    """Percentile bootstrap of the means of several scores over the same users.

    Users are drawn once for all columns, so the resampled means of any two columns are paired. With many users, the
    number of times that each is drawn is a Poisson number of its own, which is equivalent and far quicker.

    Parameters
    ----------
    columns : float array, shape (n_users, n_columns)
        Scores, or differences of scores; NaN for users without one.
    confidence : float
        Share of resampled means inside an interval.
    resamples : int
    seed : int
        The draws depend on it and on the number of users.
    groups : int array, shape (n_users,), optional
        The user of each row, where a user has several rows: all rows of a user are drawn together.
    progress : callable, optional
        Called with the number of draws done, and of all draws.

    Returns
    -------
    list of Interval
        One for each column. Draws without a user of a column do not count for it.

    Raises
    ------
    RecsysError
        When a column has no user, or an infinite score.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    Hanley and MacGibbon (2006), Creating non-parametric bootstrap samples using Poisson frequencies.
    """
    n_columns = columns.shape[1]
    part = ~np.isnan(columns)
    if not part.any(axis=0).all() or len(columns) == 0:
        raise RecsysError(NO_USER)
    if np.isinf(columns).any():
        raise RecsysError("A score is not a number; compare on users with something held out.")
    mean = columns.sum(axis=0, where=part) / part.sum(axis=0)
    # Columns about the same users share one count of them. Differences from the mean lose nothing in single precision.
    distinct, distinct_of = _different(part)
    many = len(columns) >= _MANY_USERS and groups is None
    weighed = np.empty((len(columns), n_columns + len(distinct)), np.float32 if many else np.float64)
    np.subtract(columns, mean, out=weighed[:, :n_columns], casting="same_kind")
    np.copyto(weighed[:, :n_columns], 0.0, where=~part)
    weighed[:, n_columns:] = part[:, distinct]
    if groups is not None:
        weighed = _sums(weighed, groups)
    draw = _poisson_totals if len(weighed) >= _MANY_USERS else _totals
    totals = draw(weighed, resamples, seed, progress)
    drawn = totals[:, n_columns:][:, distinct_of]
    means = mean + np.divide(totals[:, :n_columns], drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0)
    low, high = np.nanquantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return [Interval(*map(float, each)) for each in zip(mean, low, high, strict=True)]


def _totals(weighed: FloatArray, resamples: int, seed: int, progress: Progress | None) -> FloatArray:
    """Sums over users drawn with replacement, shape (resamples, n_columns)."""
    n_users, n_columns = weighed.shape
    totals = np.empty((resamples, n_columns))
    random = np.random.default_rng(seed)
    for block in batches(n_users * np.arange(1, resamples + 1), _BLOCK, progress):
        # A sum over draws is a product with the number of times that each user is drawn.
        times = np.empty((block.stop - block.start, n_users))
        for row in times:
            row[:] = np.bincount(random.integers(0, n_users, n_users), minlength=n_users)
        totals[block] = times @ weighed
    return totals


def _poisson_totals(weighed: FloatArray, resamples: int, seed: int, progress: Progress | None) -> FloatArray:
    """Sums over users, each drawn a Poisson number of times, shape (resamples, n_columns).

    Each chunk of users has random numbers of its own, so the sums do not depend on the number of threads.
    """
    starts = range(0, len(weighed), _CHUNK_USERS)

    def of_chunk(start: int, sequence: np.random.SeedSequence) -> FloatArray:
        some = weighed[start : start + _CHUNK_USERS].astype(np.float32, copy=False)
        random = np.random.Generator(np.random.SFC64(sequence))
        sums = np.empty((resamples, weighed.shape[1]))
        for first in range(0, resamples, _CHUNK_RESAMPLES):
            rows = slice(first, min(first + _CHUNK_RESAMPLES, resamples))
            cases = random.integers(0, 2**16, (rows.stop - rows.start, len(some)), dtype=np.uint16)
            sums[rows] = np.take(_TIMES_DRAWN, cases).astype(np.float32) @ some
        return sums

    totals = np.zeros((resamples, weighed.shape[1]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sequences = np.random.SeedSequence(seed).spawn(len(starts))
        for done, sums in enumerate(pool.map(of_chunk, starts, sequences), start=1):
            totals += sums
            if progress is not None:
                progress(resamples * done // len(starts), resamples)
    return totals


def _different(columns: BoolArray) -> tuple[list[int], list[int]]:
    """The distinct columns, and for each column, its position among them."""
    first: dict[bytes, int] = {}
    groups: list[int] = []
    group_of: list[int] = []
    for number, column in enumerate(columns.T):
        key = np.packbits(column).tobytes()
        if key not in first:
            first[key] = len(groups)
            groups.append(number)
        group_of.append(first[key])
    return groups, group_of


def mean_interval(values: FloatArray, **options: Any) -> Interval:
    """Percentile bootstrap of the mean over users of one column, see `mean_intervals`.

    Raises
    ------
    RecsysError
        When there is no user, or a score is not a number.
    """
    if not np.isfinite(values).all():
        raise RecsysError("A score is not a number; compare on users with something held out.")
    return mean_intervals(np.asarray(values, dtype=np.float64)[:, None], **options)[0]


def paired_difference(challenger: FloatArray, other: FloatArray, **options: Any) -> Interval:
    """Bootstrap of the mean difference between two rankers over the same users in the same order, see `mean_intervals`.

    Raises
    ------
    RecsysError
        When the arrays differ in shape, and where `mean_interval` does.
    """
    if challenger.shape != other.shape:
        raise RecsysError(f"Not the same users: {challenger.shape} and {other.shape} scores.")
    return mean_interval(challenger - other, **options)


def lead(differences: FloatArray, spread: FitSpread | None = None, *, confidence: float = 0.95) -> Interval:
    """Interval of the mean lead of one recipe over another, for other users and for other fits.

    Its half-width is the root of the sum of squares of two half-widths by Student's t: over users, and over pairs of
    fits. A few fits say little about their spread, and Student's t widens the interval accordingly. Chance that belongs
    to a pair of user and fit is counted in both, so the interval is rather too wide than too narrow.

    Parameters
    ----------
    differences : float array, shape (n_users, n_fits)
        Challenger minus champion, in [-1, 1], for each user and each pair of fits from the same start values.
    spread : FitSpread, optional
        Of one pair of fits; by default, the spread of `differences`. Required when there is only one pair.
    confidence : float
        Share of intervals that hold the true lead.

    Returns
    -------
    Interval
        Its mean is over users and fits. For a single user, the interval is -1 to 1.

    Raises
    ------
    RecsysError
        When there is no user, a difference is not a number, or one pair of fits comes without a spread.

    References
    ----------
    Zou and Donner (2008), Construction of confidence limits about effect measures: adding squares of reaches.
    Owen (2007), The pigeonhole bootstrap: two-way chance, and why counting a part of it twice is on the safe side.
    Bouthillier et al. (2021), Accounting for variance in machine learning benchmarks.
    """
    users, fits = differences.shape
    if users == 0:
        raise RecsysError(NO_USER)
    if not np.isfinite(differences).all():
        raise RecsysError("A difference is not a number; compare on users with something held out.")
    spread = spread or FitSpread.seen_in(differences)
    per_user = differences.mean(axis=1, dtype=np.float64)
    mean = float(per_user.mean())
    if users == 1:
        return Interval(mean, -1.0, 1.0)
    end = (1 + confidence) / 2
    over_users = float(stdtrit(users - 1, end) * (per_user.var(ddof=1) / users) ** 0.5)
    over_fits = float(stdtrit(spread.freedom, end)) * spread.deviation / fits**0.5
    half_width = math.hypot(over_users, over_fits)
    return Interval(mean, max(mean - half_width, -1.0), min(mean + half_width, 1.0))
