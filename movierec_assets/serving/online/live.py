"""Users' ratings at the time of a request, read for all who wait by one thread in one query.

Belongs here: batching the requests of a worker. Does not: the queries (`tables`).
"""

from __future__ import annotations

from dataclasses import dataclass

from movierec_assets.recsys.interactions import FloatArray, IntArray


@dataclass(frozen=True)
class LiveRatings:
    """Current ratings of one user: of the file and of the app, the latest of each movie, without withdrawn ones.

    Attributes
    ----------
    user_id : int
    movie_ids : int32 array, shape (n,)
    stars : float32 array, shape (n,)
    rated_at : int64 array, shape (n,)
        Unix seconds.
    dataset_id : int or None
        The dataset that is loaded; movie ids are of it.
    """

    user_id: int
    movie_ids: IntArray
    stars: FloatArray
    rated_at: IntArray
    dataset_id: int | None


@dataclass(frozen=True)
class Freshness:
    """Whether the stored state of a user is still theirs.

    Attributes
    ----------
    ratings_version : str or None
        `loads.version` of the table `ratings`.
    watermark : int
        Highest `app_ratings.rating_id` of the user; 0 without one.
    dataset_id : int or None
    """

    ratings_version: str | None
    watermark: int
    dataset_id: int | None


class LiveReader:
    """Reads for one worker. `freshness` and `ratings` raise `DatabaseUnavailableError`."""

    async def freshness(self, user_id: int) -> Freshness:
        """What tells whether the stored state of a user is still theirs."""
        raise NotImplementedError

    async def ratings(self, user_id: int) -> LiveRatings:
        """Current ratings of a user."""
        raise NotImplementedError
