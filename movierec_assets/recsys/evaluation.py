"""Scores of several rankers for the same users, side by side.

Belongs here: putting `metrics` at several cutoffs side by side, per user and on average. Which rankers there are,
and where the result goes, is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from movierec_assets.recsys import metrics
from movierec_assets.recsys.comparison import Interval, mean_interval
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions
from movierec_assets.recsys.ranking import TopK

HEADLINE = "ndcg_at_10"
"""The metric that models are compared and promoted by."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of one ranker.

    Attributes
    ----------
    ranker : str
    per_user : dict of float array, each of shape (n_users,)
        Named `<metric>_at_<k>`.
    overall : dict of float
        Coverage, novelty and popularity share, named alike.
    """

    ranker: str
    per_user: dict[str, FloatArray]
    overall: dict[str, float]

    def means(self) -> dict[str, float]:
        """Mean over users of each per-user metric, and the overall ones."""
        return {name: float(values.mean()) for name, values in self.per_user.items()} | self.overall

    def interval(self, name: str = HEADLINE) -> Interval:
        """Bootstrap interval of the mean of one per-user metric."""
        return mean_interval(self.per_user[name])


def evaluate(
    ranker: str,
    lists: TopK,
    held_out: Interactions,
    history: Interactions,
    cutoffs: Sequence[int] = metrics.CUTOFFS,
) -> Evaluation:
    """Score the lists of the evaluated users.

    Parameters
    ----------
    ranker : str
        Name in reports.
    lists : TopK, shape (n_users, at least max(cutoffs))
    held_out : Interactions, shape (n_users, n_movies)
        Rows of the same users, each with at least one entry.
    history : Interactions, shape (all users, n_movies)
        What the ranker was fitted on.
    cutoffs : sequence of int

    Returns
    -------
    Evaluation
    """
    per_user: dict[str, FloatArray] = {}
    overall: dict[str, float] = {}
    counts: IntArray = history.per_movie
    users = int((history.per_user > 0).sum())
    for k in cutoffs:
        scores = metrics.score(lists.items, held_out.stars, k)
        per_user |= {f"{name}_at_{k}": np.asarray(values, dtype=np.float64) for name, values in scores.items()}
        overall[f"coverage_at_{k}"] = metrics.coverage(lists.items, held_out.shape[1], k)
        overall[f"novelty_at_{k}"] = metrics.novelty(lists.items, counts, users, k)
        overall[f"popularity_share_at_{k}"] = metrics.popularity_share(lists.items, counts, k)
    return Evaluation(ranker, per_user, overall)
