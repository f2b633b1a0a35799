"""The odds with which films are drawn, so that each gets its number of ratings.

Belongs here: the order of films by popularity, and finding the odds. Does not: drawing films (`watching`).

A user who draws films with replacement until n different ones are found has seen film j with probability
1 - exp(-D p_j) after D draws: popular films saturate, so weights in proportion to popularity would make the head of
the list too flat. Fixed-point iteration on a sample of users finds the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.generator.sittings import FIRST_YEAR, LAST_YEAR
from movierec_assets.datasets.generator.tastes import Tastes

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

_SAMPLE = 400
_ROUNDS = 14
_HEAD, _HEAD_SAMPLE, _HEAD_ROUNDS = 300, 4_000, 5
_MOODS = 1.03  # popular films lose this factor because a page has one topic, and not the mixture of the user
_EVERY = 40  # one in this number of the films after the head stands for the others
_OLD_FILM, _AGEING = 0.45, 9.0  # share that is left of the interest in a new film, and years it takes to get there
_PREMIERE = 0.8
_GRID = float(1 << 18)  # steps of one
_UNKNOWN = 1.0 / 40  # logarithm by which interest falls for each year that a film is older than 1980


@dataclass(frozen=True)
class Appeal:
    """Odds of films.

    Attributes
    ----------
    odds : float32 array, shape (topics, n_films)
        For each topic the odds of each film; rows add up to 1.
    draws, ratings : float array, shape (n_sampled,)
        Draws that users of the sample need, and the ratings that these users have, both in increasing order.
    """

    odds: FloatArray
    draws: FloatArray
    ratings: FloatArray

    def draws_for(self, ratings: npt.NDArray[Any]) -> FloatArray:
        """Draws that users with these numbers of ratings need on average."""
        needed: FloatArray = np.interp(ratings, self.ratings, self.draws / self.ratings) * ratings
        return needed


def interest_by_age() -> FloatArray:
    """Interest in a film by its age: entry 0 for a film that is not released yet, entry 1 for one of this year.

    The last entry is for the age of the oldest film in `LAST_YEAR`.
    """
    age = np.arange(LAST_YEAR - 1890)
    interest = _OLD_FILM + (1 - _OLD_FILM) * np.exp(-np.maximum(0, age - 1) / _AGEING)
    interest[0] = _PREMIERE
    return np.concatenate(([0.0], interest)).astype(np.float32)


def age_index(sitting_year: npt.NDArray[Any], film_year: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Index in `interest_by_age` of films in the years of sittings."""
    index: npt.NDArray[Any] = np.maximum(sitting_year - film_year + 1, 0)
    return index


def draw_fame(year: IntArray, rng: np.random.Generator) -> FloatArray:
    """Fame of films by chance, less for films older than 1980; each year of release has a spread of one."""
    fame: FloatArray = rng.standard_normal(len(year)) - _UNKNOWN * np.maximum(0, 1980 - year)
    return fame


def rank_films(fame: FloatArray, year: IntArray, arrivals: IntArray) -> IntArray:
    """Order films by the popularity that they should have, the most popular first.

    Fame decides, but a film that was released after many users arrived cannot get many ratings.

    Parameters
    ----------
    fame : float array, shape (n_films,)
        As `draw_fame` gives it, or one with about the same spread.
    year : int array, shape (n_films,)
    arrivals : int array, shape (n_users,)
        Year of each user's first sitting.
    """
    share = np.array([(arrivals >= each).mean() for each in range(FIRST_YEAR, LAST_YEAR + 1)])
    available = np.where(year <= FIRST_YEAR, 1.0, share[np.clip(year - FIRST_YEAR, 0, LAST_YEAR - FIRST_YEAR)])
    return np.argsort(-(fame + 1.2 * np.log(available + 1e-3)), kind="stable")


def fit_appeal(
    fit: FloatArray,
    year: IntArray,
    wanted: FloatArray,
    ratings: IntArray,
    tastes: Tastes,
    arrivals: IntArray,
    *,
    portable: bool = False,
) -> Appeal:
    """Find odds with which films get about the wanted numbers of ratings.

    Parameters
    ----------
    fit : float array, shape (topics, n_films)
        Logarithm of how well each film fits each topic.
    year : int array, shape (n_films,)
    wanted : float array, shape (n_films,)
        Wanted number of ratings of each film; they add up to the ratings of all users.
    ratings, arrivals : int array, shape (n_users,)
        Number of ratings and first year of each user.
    tastes : Tastes
    portable : bool
        Give the same odds on every processor, in double precision.
    """
    sample, mean_ratings, per_user = _spread_sample(ratings, _SAMPLE)
    mixture = tastes.mixture(sample)
    interest = interest_by_age()[age_index(arrivals[sample][:, None], year[None, :])]
    precision = np.float64 if portable else np.float32
    affinity = np.exp(fit - fit.max(axis=1, keepdims=True)).astype(precision)
    weight = wanted / wanted.sum()
    draws: FloatArray = mean_ratings * 1.5
    odds: FloatArray = affinity
    for _ in range(_ROUNDS):
        odds = affinity * weight.astype(precision)
        odds /= odds.sum(axis=1, keepdims=True)
        chance = (mixture @ odds) * interest
        draws = _draws_needed(chance, mean_ratings, draws, np.ones(len(year), dtype=precision))
        got = per_user @ (1 - np.exp(-chance * draws[:, None].astype(precision)))
        weight *= np.clip(wanted / np.maximum(got, 1e-6), 0.3, 3.0)
        weight = np.minimum(weight / weight.sum(), 0.2)
    appeal = Appeal(odds, np.maximum.accumulate(draws), np.maximum.accumulate(mean_ratings))
    _settle_head(appeal, year, wanted, ratings, tastes, arrivals)
    return appeal if not portable else replace(appeal, odds=round_away_processor(appeal.odds))


def round_away_processor(values: FloatArray) -> FloatArray:
    """Round to a grid that is far coarser than the last bits of a float, in which processors differ."""
    rounded: FloatArray = np.rint(values * _GRID) / _GRID
    return rounded


def _settle_head(
    appeal: Appeal, year: IntArray, wanted: FloatArray, ratings: IntArray, tastes: Tastes, arrivals: IntArray
) -> None:
    """Correct the odds of the most popular films, in place, on more users than all films can be fitted on."""
    by_wanted = np.argsort(-wanted, kind="stable")
    films = np.concatenate((by_wanted[:_HEAD], by_wanted[_HEAD + _EVERY // 2 :: _EVERY]))
    precision = appeal.odds.dtype
    stands_for = np.ones(len(films), dtype=precision)
    stands_for[_HEAD:] = max(0, len(wanted) - _HEAD) / max(1, len(films) - _HEAD)
    head = films[:_HEAD]
    sample, mean_ratings, per_user = _spread_sample(ratings, _HEAD_SAMPLE)
    mixture = tastes.mixture(sample)
    interest = interest_by_age()[age_index(arrivals[sample][:, None], year[films][None, :])]
    draws = appeal.draws_for(mean_ratings)
    for _ in range(_HEAD_ROUNDS):
        chance = (mixture @ appeal.odds[:, films]) * interest
        draws = _draws_needed(chance, mean_ratings, draws, stands_for)
        got = per_user @ (1 - np.exp(-chance[:, :_HEAD] * draws[:, None].astype(precision)))
        appeal.odds[:, head] *= np.clip(_MOODS * wanted[head] / np.maximum(got, 1e-6), 0.8, 1.25).astype(precision)
        appeal.odds[:] /= appeal.odds.sum(axis=1, keepdims=True)


def _spread_sample(ratings: IntArray, size: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Users spread evenly over the numbers of ratings; for each, mean ratings and number of the users it stands for."""
    order = np.argsort(ratings, kind="stable")
    edges = np.linspace(0, len(order), min(size, len(order)) + 1).astype(np.int64)
    per_user = np.diff(edges)
    mean_ratings = np.add.reduceat(ratings[order], edges[:-1]) / per_user
    return order[(edges[:-1] + edges[1:]) // 2], mean_ratings, per_user.astype(np.float32)


def _draws_needed(chance: FloatArray, ratings: FloatArray, start: FloatArray, stands_for: FloatArray) -> FloatArray:
    """Number of draws after which users expect their number of ratings, by Newton's method on logarithms."""
    log_draws = np.log(start)
    reachable = ((chance > 0) @ stands_for) * 0.999
    target = np.minimum(ratings, np.maximum(reachable, 1e-3))
    for _ in range(3):
        draws = np.exp(log_draws)
        mean = chance * draws[:, None].astype(chance.dtype)
        unseen = np.exp(-mean)
        seen = (1 - unseen) @ stands_for
        slope = (mean * unseen) @ stands_for
        log_draws += np.clip((target - seen) / np.maximum(slope, 1e-9), -1.0, 1.0)
        log_draws = np.minimum(log_draws, 25.0)
    needed: FloatArray = np.exp(log_draws)
    return needed
