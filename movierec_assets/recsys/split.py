"""Leave-latest-out: what is held out, and who is scored.

Belongs here: dividing interactions into train, validation and test without leaking the future. Matrices are
built in `interactions`; scoring is in `metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IdMaps, IntArray, Interactions

MIN_TRAIN_TO_EVALUATE = 4
"""A user with fewer earlier positives is not scored, as in the original recipe."""

Part = Literal["validation", "test"]


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of one matrix, in time order for each user.

    Attributes
    ----------
    train, validation, test : Interactions
        All of the same shape. For every user each part is later than the one before it.
    """

    train: Interactions
    validation: Interactions
    test: Interactions

    def before(self, part: Part) -> Interactions:
        """What a model that is scored on `part` may have seen: everything earlier."""
        return self.train if part == "validation" else self.train.union(self.validation)

    def evaluated_users(self, part: Part, history: Interactions | None = None) -> IntArray:
        """Rows of the users scored on `part`.

        Parameters
        ----------
        part : {"validation", "test"}
        history : Interactions, optional
            `before(part)` when it is at hand.

        Returns
        -------
        int array
            Users with something held out and at least `MIN_TRAIN_TO_EVALUATE` earlier positives.
        """
        seen = (history or self.before(part)).per_user
        held_out = (self.validation if part == "validation" else self.test).per_user
        return np.flatnonzero((held_out > 0) & (seen >= MIN_TRAIN_TO_EVALUATE))


def leave_latest_out(
    user_ids: IntArray, movie_ids: IntArray, stars: FloatArray, rated_at: IntArray
) -> tuple[Split, IdMaps]:
    """Hold out each user's latest positives for test and the latest of the rest for validation.

    Parameters
    ----------
    user_ids, movie_ids : int array, shape (n,)
        One row for each positive rating, in any order, every pair once.
    stars : float array, shape (n,)
    rated_at : int array, shape (n,)
        Unix seconds. Positives with equal times stay together.

    Returns
    -------
    Split, IdMaps
        Parts over the same users and movies, and the ids of their rows and columns.

    Raises
    ------
    RecsysError
        When there is no interaction at all, or a pair repeats.
    """
    if len(user_ids) == 0:
        raise RecsysError("There is no positive rating to split; load ratings or lower MOVIEREC_POSITIVE_THRESHOLD.")
    ids = IdMaps.of(user_ids, movie_ids)
    # All in one matrix first: a pair that repeats at another time would land in another part unnoticed.
    together = Interactions.from_triplets(ids.users_at(user_ids), ids.movies_at(movie_ids), stars, rated_at, ids.shape)
    users, movies, stars, rated_at = together.triplets()
    in_test = _is_latest(users, rated_at, ids.shape[0], np.ones(len(users), dtype=np.bool_))
    in_validation = _is_latest(users, rated_at, ids.shape[0], ~in_test)
    parts = (
        Interactions.from_triplets(users[mask], movies[mask], stars[mask], rated_at[mask], ids.shape)
        for mask in (~in_test & ~in_validation, in_validation, in_test)
    )
    return Split(*parts), ids


def _is_latest(users: IntArray, times: IntArray, n_users: int, among: BoolArray) -> BoolArray:
    """Mark the interactions at each user's latest time, looking only at those in `among`."""
    latest = np.full(n_users, np.iinfo(np.int64).min)
    np.maximum.at(latest, users[among], times[among])
    marked: BoolArray = among & (times == latest[users])
    return marked
