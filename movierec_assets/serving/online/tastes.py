"""Which genres the model expects a user to like.

Belongs here: comparing the user's best movies with everybody's. Does not: the user (`person`).
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.serving.online.answers import GenreTaste
from movierec_assets.serving.online.best import best
from movierec_assets.serving.online.model_index import ModelIndex

OF_BEST = 100
"""Movies whose genres are counted."""


def genres_of(model: ModelIndex, vector: FloatArray) -> list[GenreTaste]:
    """All genres, the one first that is more frequent than usual by most among the best movies of a user.

    Parameters
    ----------
    vector : float32 array, shape (factors,)
        Of the user.
    """
    movies = model.movies
    nothing = np.zeros(len(model), dtype=np.bool_)
    places, _ = best(model, vector, nothing, OF_BEST)
    shares = movies.of_genre[:, places].mean(axis=1)
    usual = movies.of_genre[:, movies.by_count[:OF_BEST]].mean(axis=1)
    tastes = [
        GenreTaste(genre, share - of_all, share, of_all)
        for genre, share, of_all in zip(movies.catalogued.genres, shares.tolist(), usual.tolist(), strict=True)
    ]
    return sorted(tastes, key=lambda each: -each.score)
