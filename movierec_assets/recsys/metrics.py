"""Ranking metrics for top-k lists.

Belongs here: functions of the ranked items of each user and of the user's held-out items. Does not: splitting (`split`)
and ranking (`ranking`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray

CUTOFFS = (5, 10, 20)
"""List lengths that every report shows."""


@dataclass(frozen=True)
class UserScores:
    """One value per user and metric at one k, each an array of shape (n_users,).

    With hits = held-out items among the first k of the list, and n = the number of the user's held-out items:

    Attributes
    ----------
    precision : hits / k
    recall : hits / n
    truncated_recall : hits / min(k, n)
    map : sum of precision@r over the ranks r of hits, divided by min(k, n)
    ndcg : binary gain, log2 discount, divided by that of min(k, n) hits at the top
    hit_rate : 1 if there is any hit, else 0

    References
    ----------
    Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques.
    """

    precision: FloatArray
    recall: FloatArray
    truncated_recall: FloatArray
    map: FloatArray
    ndcg: FloatArray
    hit_rate: FloatArray

    def items(self) -> list[tuple[str, FloatArray]]:
        """Names and values."""
        return [(each.name, getattr(self, each.name)) for each in fields(self)]


def hits(ranked: IntArray, held_out: csr_matrix) -> BoolArray:
    """Whether each position of the lists holds a held-out item, shape (n_users, k); parameters are as for `score`."""
    n_users, n_items = held_out.shape
    matrix = held_out if held_out.has_sorted_indices else held_out.sorted_indices()
    rows = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(matrix.indptr))
    wanted = rows * n_items + matrix.indices
    listed = np.arange(n_users, dtype=np.int64)[:, None] * n_items + ranked
    if len(wanted) == 0:
        return np.zeros(ranked.shape, dtype=np.bool_)
    at = np.minimum(np.searchsorted(wanted, listed), len(wanted) - 1)
    found: BoolArray = (wanted[at] == listed) & (ranked >= 0)
    return found


def score(ranked: IntArray, held_out: csr_matrix, k: int) -> UserScores:
    """All metrics of each user at one cutoff.

    Parameters
    ----------
    ranked : int array, shape (n_users, at least k)
        Columns of `held_out`, best first, each at most once; -1 marks an empty position.
    held_out : csr_matrix, shape (n_users, n_items)
        Non-zero where the user liked a held-out item. Rows without one give NaN.
    k : int

    Raises
    ------
    RecsysError
        When the lists are shorter than k or are not for the same users.

    Examples
    --------
    One user, two held-out items, the first of which is ranked second:

    >>> held_out = csr_matrix(([1.0, 1.0], ([0, 0], [3, 7])), shape=(1, 9))
    >>> result = score(np.array([[1, 3, 2]]), held_out, k=3)
    >>> float(result.recall[0]), float(result.map[0]), round(float(result.ndcg[0]), 4)
    (0.5, 0.25, 0.3869)
    """
    if ranked.shape[0] != held_out.shape[0] or ranked.shape[1] < k:
        raise RecsysError(f"Lists of shape {ranked.shape} cannot be scored at {k} for {held_out.shape[0]} users.")
    hit = hits(ranked[:, :k], held_out)
    relevant = np.diff(held_out.indptr).astype(np.float64)
    relevant[relevant == 0] = np.nan
    ideal = np.minimum(relevant, k)
    count = hit.sum(axis=1)
    ranks = np.arange(1, k + 1)
    discount = 1.0 / np.log2(ranks + 1)
    best = np.r_[np.nan, np.cumsum(discount)]
    return UserScores(
        precision=np.where(np.isnan(relevant), np.nan, count / k),
        recall=count / relevant,
        truncated_recall=count / ideal,
        map=(np.cumsum(hit, axis=1) / ranks * hit).sum(axis=1) / ideal,
        ndcg=(hit * discount).sum(axis=1) / best[np.nan_to_num(ideal).astype(int)],
        hit_rate=np.where(np.isnan(relevant), np.nan, (count > 0).astype(np.float64)),
    )


def coverage(ranked: IntArray, n_items: int, k: int) -> float:
    """Share of the catalogue that appears in at least one list of length k."""
    return len(np.unique(_listed(ranked, k))) / n_items if n_items else 0.0


def novelty(ranked: IntArray, counts: IntArray, n_users: int, k: int) -> float:
    """Mean self-information of the listed items, in bits: -log2 of the share of users who liked each.

    Parameters
    ----------
    ranked : int array, shape (m, at least k)
    counts : int array, shape (n_items,)
        Users who liked each item in training; an item nobody liked counts as liked by one.
    n_users : int
        Users in training.

    References
    ----------
    Vargas and Castells (2011), Rank and relevance in novelty and diversity metrics.
    """
    listed = _listed(ranked, k)
    return float(-np.log2(np.maximum(counts[listed], 1) / n_users).mean()) if len(listed) else float("nan")


def popularity_share(ranked: IntArray, counts: IntArray, k: int, top: float = 0.01) -> float:
    """Share of the listed items that are among the most popular: the share `top` of all items, at least one."""
    listed = _listed(ranked, k)
    most_popular = np.argsort(-counts, kind="stable")[: max(1, round(top * len(counts)))]
    return float(np.isin(listed, most_popular).mean()) if len(listed) else float("nan")


def gini(ranked: IntArray, n_items: int, k: int) -> float:
    """Gini coefficient of the number of times that each item is listed: how unequally lists treat the catalogue.

    Parameters
    ----------
    ranked : int array, shape (m, at least k)
    n_items : int
        Size of the catalogue; an item in no list counts as listed 0 times.
    k : int

    Returns
    -------
    float
        0 when all items are listed equally often, 1 when all lists hold the same single item; NaN when nothing is
        listed or there are fewer than two items.

    References
    ----------
    Shani and Gunawardana (2011), Evaluating recommendation systems, section 8.3.3.

    Examples
    --------
    Two of four items, listed three times and once:

    >>> round(gini(np.array([[2, 3], [2, -1], [2, -1]]), n_items=4, k=2), 4)
    0.8333
    """
    counts = np.sort(np.bincount(_listed(ranked, k), minlength=n_items))
    if n_items < 2 or counts.sum() == 0:
        return float("nan")
    rank = np.arange(1, n_items + 1)
    return float((2 * rank - n_items - 1) @ counts / ((n_items - 1) * counts.sum()))


def _listed(ranked: IntArray, k: int) -> IntArray:
    listed = ranked[:, :k]
    return listed[listed >= 0]
