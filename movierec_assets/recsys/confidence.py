"""How much each interaction counts.

Belongs here: the weight of interactions by their stars, by BM25 and by their recency. Does not: the recipe's numbers
(`recipe`) and the factors that are solved for with the weights (`als`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.recipe import ConfidenceKind, Recipe

BM25_K1, BM25_B = 100.0, 0.8
_MIDDLE_STARS = 4.5


def bm25_weights(histories: Interactions, rarity: FloatArray, mean_length: float) -> FloatArray:
    """BM25 weight of each interaction of the histories, in the order of `histories.stars.data`.

    Parameters
    ----------
    histories : Interactions, shape (n_users, n_movies)
    rarity : float array, shape (n_movies,)
        Inverse document frequency of each movie; the weights have its precision.
    mean_length : float
        Mean number of interactions of a training user.

    References
    ----------
    Robertson and Zaragoza (2009), The probabilistic relevance framework: BM25 and beyond.
    """
    length = 1.0 - BM25_B + BM25_B * histories.per_user / mean_length
    by_user = ((BM25_K1 + 1.0) / (BM25_K1 * length + 1.0)).astype(rarity.dtype)
    weights: FloatArray = np.repeat(by_user, histories.per_user) * rarity[histories.stars.indices]
    return weights


@dataclass(frozen=True)
class Confidence:
    """Weight of an interaction before `alpha` and recency.

    `binary` treats all alike; `rating` doubles with each star; `bm25` gives more weight to rarely liked movies and to
    users with few interactions. The statistics that `bm25` needs of the training data are kept here, so that users
    who were not part of it get comparable weights.

    Attributes
    ----------
    kind : {"binary", "rating", "bm25"}
    movie_weight : float32 array, shape (n_movies,)
        Inverse document frequency, scaled so that the mean weight of training interactions is 1; ones unless `bm25`.
    mean_length : float
        Mean number of interactions of a training user.
    """

    kind: ConfidenceKind
    movie_weight: FloatArray
    mean_length: float

    @classmethod
    def of(cls, positives: Interactions, kind: ConfidenceKind) -> Self:
        """Learn the statistics from training data."""
        users = int((positives.per_user > 0).sum())
        weight = np.ones(positives.shape[1], dtype=np.float32)
        mean_length = len(positives) / max(1, users)
        if kind == "bm25":
            rarity = np.log(users + 1) - np.log1p(positives.per_movie)
            unscaled = bm25_weights(positives, rarity.astype(np.float32), mean_length)
            weight = (rarity / max(float(unscaled.mean()), 1e-12)).astype(np.float32)
        return cls(kind, weight, mean_length)

    def weights(self, histories: Interactions) -> FloatArray:
        """Weight of each interaction, in the order of `histories.stars.data`."""
        if self.kind == "rating":
            by_stars: FloatArray = np.exp2(histories.stars.data - np.float32(_MIDDLE_STARS))
            return by_stars
        if self.kind == "binary":
            return np.ones(len(histories), dtype=np.float32)
        return bm25_weights(histories, self.movie_weight, self.mean_length)


def interaction_weights(histories: Interactions, recipe: Recipe, confidence: Confidence | None = None) -> FloatArray:
    """Confidence of each interaction in a fold-in: `alpha` times the weights of its kind and of its recency.

    In the order of `histories.stars.data`. For a bm25 recipe, the confidence of its fit is required.
    """
    if confidence is None:
        if recipe.confidence == "bm25":
            raise RecsysError("A bm25 recipe folds in with the confidence of its fit; pass `Factors.confidence`.")
        confidence = Confidence.of(histories, recipe.confidence)
    recency = recipe.fold_in.weights(histories.recency_rank())
    weights: FloatArray = np.float32(recipe.alpha) * confidence.weights(histories) * recency
    return weights
