"""Rankers to be measured against.

Belongs here: methods that the recipe has to beat, each as a function from a history to ranked lists. Popularity is in
`ranking`, because it is also served.
"""

from __future__ import annotations

from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import bm25_weight
from threadpoolctl import threadpool_limits

from movierec_assets.recsys import ranking
from movierec_assets.recsys.interactions import IntArray, Interactions
from movierec_assets.recsys.ranking import TopK


def original_recipe(history: Interactions, users: IntArray, k: int, seed: int) -> TopK:
    """Lists of the recipe that this project began with.

    BM25-weighted likes (K1 = 100, B = 0.8), ALS with 128 factors, regularization 0.1 and 25 iterations, and the fit's
    own user factors.

    Parameters
    ----------
    history : Interactions, shape (n_users, n_movies)
    users : int array
        Rows to rank for.
    k, seed : int

    Returns
    -------
    TopK, shape (len(users), k)
    """
    likes = history.stars.copy()
    likes.data[:] = 1.0
    weighted = bm25_weight(likes, K1=100, B=0.8).tocsr()
    with threadpool_limits(1, user_api="blas"):
        model = AlternatingLeastSquares(factors=128, regularization=0.1, iterations=25, random_state=seed)
        model.fit(weighted, show_progress=False)
    return ranking.recommend(model.user_factors[users], model.item_factors, history.stars[users], k)
