"""Scores of a recipe fitted from several start values, and how far they spread.

Belongs here: fitting again with other seeds, how often that is affordable, and the bound that stands in for the spread
where few fits are made. What the scores say about a lead is worked out in `comparison`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from movierec_assets.progress import Progress
from movierec_assets.recsys import als, metrics
from movierec_assets.recsys.als import Recipe
from movierec_assets.recsys.batches import BATCH_BYTES
from movierec_assets.recsys.comparison import FitSpread
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.experiment import rank
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.split import Task

STARTS, STARTS_OF_DEAR = 5, 2
"""Fits of each recipe where a fit is cheap, and where it is dear."""

MOST_LIKES = 1_000_000
"""Up to so many likes to fit on, a fit is cheap: less than ten seconds on two processors."""

BOUND = 0.0015
"""Standard deviation of a mean lead between pairs of fits, relative to NDCG@10, where fits are dear.

Measured on made-up ratings, as what is left after the chance of single users. With 20 million ratings and 138,174
users: 0.15 % in 7 fits of the built-in recipe, and nothing in 3 fits of another. With 1, 2 and 5 million ratings:
nothing in 6 to 10 fits. `make bench ARGS=gate` measures it.
"""


_CUTOFF = 10


def starts_for(likes: int) -> int:
    """Number of starts to fit each recipe from, for so many likes to fit on."""
    return STARTS if likes <= MOST_LIKES else STARTS_OF_DEAR


def scores(
    task: Task,
    recipe: Recipe,
    starts: int,
    *,
    known: FloatArray | None = None,
    batch_bytes: int = BATCH_BYTES,
    progress: Progress | None = None,
) -> FloatArray:
    """NDCG@10 of each scored user, for fits of a recipe from several start values.

    Parameters
    ----------
    task : Task
    recipe : Recipe
        Its seed is the first start value; the seeds that follow it are the others. Two recipes with one seed so have
        the same start values, pair by pair.
    starts : int
    known : float array, shape (n_users,), optional
        Scores of the fit from the first start value, where they are at hand.
    batch_bytes : int
        As for `ranking.recommend`.
    progress : callable, optional
        Called after each fit.

    Returns
    -------
    float array, shape (n_users, starts)

    Raises
    ------
    RecsysError
        When no start is asked for, or the known scores are not of these users.
    """
    users = len(task.users)
    if starts < 1:
        raise RecsysError(f"{starts} starts; a recipe is fitted from at least one.")
    if known is not None and known.shape != (users,):
        raise RecsysError(f"Scores of shape {known.shape} are not those of {users} users.")
    found = np.empty((users, starts))
    for place in range(starts):
        if place == 0 and known is not None:
            found[:, 0] = known
        else:
            each = replace(recipe, seed=recipe.seed + place)
            lists = rank(task, als.fit(task.train, each), each, _CUTOFF, batch_bytes=batch_bytes)
            found[:, place] = metrics.score(lists.items, task.held_out.stars, _CUTOFF).ndcg
        if progress is not None:
            progress(place + 1, starts)
    return found


def spread(differences: FloatArray, champion_ndcg: float) -> FitSpread:
    """How far a lead moves between pairs of fits: as seen, or the bound where there are too few pairs to see it.

    Parameters
    ----------
    differences : float array, shape (n_users, n_fits)
        Challenger minus champion, of fits from the same start values.
    champion_ndcg : float
        Mean NDCG@10 of the champion, which the bound is relative to.
    """
    if differences.shape[1] > STARTS_OF_DEAR:
        return FitSpread.seen_in(differences)
    return FitSpread(BOUND * champion_ndcg, np.inf, "a bound measured on 20 million made-up ratings")
