"""Ratings as they stand now, read for ranking.

Belongs here: the queries behind folding users in, and their shape. Shared by the recommendation assets, the
command line and the API.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from scipy.sparse import csr_matrix

from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions
from movierec_assets.resources.binary_copy import Kind
from movierec_assets.resources.database import SCHEMA, Database

RATING_COLUMNS: dict[str, Kind] = {
    "user_id": "integer",
    "movie_id": "integer",
    "rating": "real",
    "rated_at": "timestamptz",
}
_SELECT = f"SELECT c.user_id, c.movie_id, c.rating, c.rated_at FROM {SCHEMA}.current_ratings c"


@dataclass(frozen=True)
class RatingColumns:
    """Ratings as parallel arrays, every pair of user and movie once.

    Attributes
    ----------
    user_id, movie_id : int32 array, shape (n,)
    rating : float32 array, shape (n,)
        Stars.
    rated_at : int64 array, shape (n,)
        Unix seconds.
    """

    user_id: IntArray
    movie_id: IntArray
    rating: FloatArray
    rated_at: IntArray

    def __len__(self) -> int:
        return len(self.user_id)


@dataclass(frozen=True)
class Histories:
    """Users ready to be folded in, over the movies of a model.

    Attributes
    ----------
    user_ids : int32 array, shape (n_users,)
        Sorted; the rows.
    liked : Interactions, shape (n_users, n_movies)
        Positives only.
    seen : csr_matrix, shape (n_users, n_movies)
        Everything rated, high or low.
    """

    user_ids: IntArray
    liked: Interactions
    seen: csr_matrix


def read_positives(
    database: Database, threshold: float, rows_read: Callable[[int], None] | None = None
) -> RatingColumns:
    """Positives of the eligible users, the latest rating of each pair.

    Parameters
    ----------
    threshold : float
        Stars from which a rating is a positive.
    rows_read : callable, optional
        Called with the number of rows so far, now and then.
    """
    query = f"{_SELECT} JOIN {SCHEMA}.eligible_users e ON e.user_id = c.user_id WHERE c.rating >= %s::real"
    return RatingColumns(**database.columns(query, RATING_COLUMNS, [threshold], rows_read))


def read_ratings(
    database: Database, user_ids: Sequence[int] | None = None, rows_read: Callable[[int], None] | None = None
) -> RatingColumns:
    """All current ratings, or those of some users."""
    if user_ids is None:
        return RatingColumns(**database.columns(_SELECT, RATING_COLUMNS, rows_read=rows_read))
    query = f"{_SELECT} WHERE c.user_id = ANY(%s)"
    return RatingColumns(**database.columns(query, RATING_COLUMNS, [list(user_ids)]))


def counts_of(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], IntArray]:
    """Distinct values in ascending order, and how often each occurs; `numpy.unique` would sort all of them."""
    counted = pl.Series("value", values).value_counts(name="count").sort("value")
    return counted["value"].to_numpy(), counted["count"].to_numpy().astype(np.int64)


def histories_of(ratings: RatingColumns, movie_ids: IntArray, threshold: float) -> Histories:
    """Arrange ratings over the movies of a model.

    Parameters
    ----------
    ratings : RatingColumns
    movie_ids : int array, shape (n_movies,)
        Sorted ids of the model's movies; ratings of others are left out.
    threshold : float
        Stars from which a rating is a positive.

    Returns
    -------
    Histories
        With a row for every user in `ratings`, even when nothing of theirs is in the model.
    """
    users, user_ids = pd.factorize(ratings.user_id, sort=True)
    shape = (len(user_ids), len(movie_ids))
    # A look into a table of 27,000 movies, 20 million times: hashing takes a fraction of a binary search.
    movies = pd.Index(movie_ids).get_indexer(pd.Index(ratings.movie_id))
    inside = movies >= 0
    liked = inside & (ratings.rating >= np.float32(threshold))
    ones = np.ones(int(inside.sum()), dtype=np.float32)
    return Histories(
        user_ids=user_ids,
        liked=Interactions.from_triplets(
            users[liked], movies[liked], ratings.rating[liked], ratings.rated_at[liked], shape
        ),
        seen=csr_matrix((ones, (users[inside], movies[inside])), shape=shape),
    )


def titles_of(database: Database, movie_ids: Any) -> dict[int, str]:
    """Titles of some movies, by id."""
    wanted = [int(movie_id) for movie_id in movie_ids]
    return dict(database.rows(f"SELECT movie_id, title FROM {SCHEMA}.movies WHERE movie_id = ANY(%s)", [wanted]))
