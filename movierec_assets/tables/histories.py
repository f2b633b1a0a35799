"""Current ratings, read user by user.

Belongs here: the queries for training and for folding users in, and the arrays that they give. Does not:
computing with these arrays (`recsys`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from movierec_assets.ratings import STAR_BITS, RatingColumns
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions, positions
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.read_ahead import handed_on
from movierec_assets.tables.user_rows import HISTORY_TYPES, UserRowDecoder, UserRows

_BYTES_OF_A_RATING = 256
"""Working memory for each rating of the users who are ranked for: as read, as a history, and copies of both."""
_BYTES_ON_THE_WIRE = 12
_STARS_MASK = (1 << STAR_BITS) - 1
_SECONDS = "floor(date_part('epoch', rated_at))::bigint"
_MIN_BLOCK, _MAX_BLOCK = 10_000, 1_000_000


@dataclass(frozen=True)
class RatedByUsers:
    """All current ratings of some users, and the times of their likes.

    Attributes
    ----------
    user_ids : int32 array, shape (n_users,)
    per_user : int64 array, shape (n_users,)
        Ratings of each user.
    movie_id : int32 array, shape (n,)
        In the order of users.
    rating : float32 array, shape (n,)
        Stars.
    liked : bool array, shape (n,)
        Whether the stars reach the threshold.
    liked_at : int64 array, shape (n_likes,)
        Unix seconds, in the order of likes.
    """

    user_ids: IntArray
    per_user: IntArray
    movie_id: IntArray
    rating: FloatArray
    liked: npt.NDArray[np.bool_]
    liked_at: IntArray


@dataclass(frozen=True)
class Histories:
    """Users ready to be folded in, over the movies of a model.

    Attributes
    ----------
    user_ids : int32 array, shape (n_users,)
        The rows.
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
    """Positives of the eligible users, in the order of users; of a pair with several ratings, the latest.

    Parameters
    ----------
    threshold : float
        Stars from which a rating is a positive.
    rows_read : callable, optional
        Called with the number of rows so far, from time to time.
    """
    # Without a condition on stars, because a whole user is read at once; the others are left out here.
    query = f"""SELECT everybody.* FROM ({_of_everybody(database)}) everybody
                WHERE user_id IN (SELECT user_id FROM {SCHEMA}.eligible_users)"""
    blocks: list[RatedByUsers] = []
    rows = 0
    for block in _blocks(database, query, {}, threshold, _MAX_BLOCK):
        blocks.append(_likes(block))
        rows += len(block.liked_at)
        if rows_read is not None:
            rows_read(rows)
    user_ids, per_user = _joined(blocks, "user_ids", np.int32), _joined(blocks, "per_user", np.int64)
    columns = (("movie_id", np.int32), ("rating", np.float32), ("liked_at", np.int64))
    if (user_ids[1:] > user_ids[:-1]).all():
        return RatingColumns(np.repeat(user_ids, per_user), *(_joined(blocks, *column) for column in columns))
    order = np.argsort(user_ids)
    lengths = per_user[order]
    starts = (np.cumsum(per_user) - per_user)[order]
    index = np.arange(rows) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    # One column at a time, so that only one is held twice.
    return RatingColumns(np.repeat(user_ids[order], lengths), *(_joined(blocks, *column)[index] for column in columns))


def _likes(rated: RatedByUsers) -> RatedByUsers:
    """Likes only; users without one have no row."""
    before = np.append(0, np.cumsum(rated.liked))
    per_user = np.diff(before[np.append(0, np.cumsum(rated.per_user))])
    some = per_user > 0
    movie_id, rating = rated.movie_id[rated.liked], rated.rating[rated.liked]
    liked = np.ones(len(movie_id), np.bool_)
    return RatedByUsers(rated.user_ids[some], per_user[some], movie_id, rating, liked, rated.liked_at)


def _joined(blocks: list[RatedByUsers], name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *(getattr(block, name) for block in blocks)])


def read_users(
    database: Database, threshold: float, user_ids: Sequence[int] | None = None, *, memory: int = 256 * 2**20
) -> Iterator[RatedByUsers]:
    """All current ratings of everybody, or of some users, as of the moment when reading begins.

    Parameters
    ----------
    threshold : float
        Stars from which a rating is a like.
    user_ids : sequence of int, optional
    memory : int
        Bytes of working memory for a block.

    Yields
    ------
    RatedByUsers
        Users in no order; those without a rating do not occur. The next block is read while one is used.
    """
    rows = int(np.clip(memory // _BYTES_OF_A_RATING, _MIN_BLOCK, _MAX_BLOCK))
    if user_ids is None:
        yield from _blocks(database, _of_everybody(database), {}, threshold, rows)
    else:
        query = _grouped(f"{SCHEMA}.current_ratings", "user_id = ANY(%(users)s)")
        yield from _blocks(database, query, {"users": list(user_ids)}, threshold, rows)


def _grouped(ratings: str, condition: str) -> str:
    """Rows as in `rating_histories`."""
    return f"""
        SELECT user_id, string_agg(int4send(movie_id), ''),
               string_agg(int8send(({_SECONDS} << {STAR_BITS}) + (rating * 2::real)::integer), '')
        FROM {ratings} WHERE {condition} GROUP BY user_id"""


def _of_everybody(database: Database) -> str:
    """Ratings of the file directly, except for users who rated in the app: for them, the view compares both."""
    posted = f"SELECT user_id FROM {SCHEMA}.valid_app_ratings"
    others = f"user_id NOT IN ({posted})"
    of_file = (
        f"SELECT user_id, movie_ids, times_and_stars FROM {SCHEMA}.rating_histories WHERE {others}"
        if database.scalar(f"SELECT {SCHEMA}.has_histories()")
        else _grouped(f"{SCHEMA}.ratings", others)
    )
    return of_file + " UNION ALL " + _grouped(f"{SCHEMA}.current_ratings", f"user_id = ANY(ARRAY({posted}))")


def _blocks(
    database: Database, query: str, parameters: dict[str, Any], threshold: float, rows: int
) -> Iterator[RatedByUsers]:
    least = np.float32(threshold)

    def read(hand_on: Callable[[RatedByUsers], None]) -> None:
        decoder = UserRowDecoder(HISTORY_TYPES, lambda found: hand_on(_rated(found, least)), rows * _BYTES_ON_THE_WIRE)
        database.copy_to(decoder, query, parameters)
        decoder.finish()

    return handed_on(read)


def _rated(found: UserRows, threshold: np.float32) -> RatedByUsers:
    movie_id, times_and_stars = found.values
    rating = (times_and_stars & _STARS_MASK).astype(np.float32) / 2
    liked = rating >= threshold
    return RatedByUsers(
        user_ids=found.user_ids,
        per_user=found.lengths[0],
        movie_id=movie_id,
        rating=rating,
        liked=liked,
        liked_at=times_and_stars[liked] >> STAR_BITS,
    )


def counts_of(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], IntArray]:
    """Distinct values in ascending order, and how often each occurs; `numpy.unique` would sort all of them."""
    import polars as pl  # noqa: PLC0415 - slow to import, and not needed for a single answer

    counted = pl.Series("value", values).value_counts(name="count").sort("value")
    return counted["value"].to_numpy(), counted["count"].to_numpy().astype(np.int64)


def histories_of(ratings: RatedByUsers, movie_ids: IntArray) -> Histories:
    """Arrange ratings over the movies of a model.

    Parameters
    ----------
    ratings : RatedByUsers
    movie_ids : int array, shape (n_movies,)
        Sorted ids of the model's movies; ratings of others are left out.

    Returns
    -------
    Histories
        With a row for every user in `ratings`, even without any movie of the model.
    """
    shape = (len(ratings.user_ids), len(movie_ids))
    users = np.repeat(np.arange(shape[0], dtype=np.int32), ratings.per_user)
    movies = positions(movie_ids, ratings.movie_id)
    inside = movies >= 0
    liked = inside & ratings.liked
    users_inside, movies_inside = users[inside], movies[inside]
    ends = np.cumsum(np.bincount(users_inside, minlength=shape[0]))
    ones = np.ones(len(movies_inside), dtype=np.float32)
    return Histories(
        user_ids=ratings.user_ids,
        liked=Interactions.from_triplets(
            users[liked], movies[liked], ratings.rating[liked], ratings.liked_at[inside[ratings.liked]], shape
        ),
        seen=csr_matrix((ones, movies_inside, np.concatenate([[0], ends])), shape=shape),
    )


def titles_of(database: Database, movie_ids: Any) -> dict[int, str]:
    """Titles of some movies, by id."""
    wanted = [int(movie_id) for movie_id in movie_ids]
    return dict(database.rows(f"SELECT movie_id, title FROM {SCHEMA}.movies WHERE movie_id = ANY(%s)", [wanted]))
