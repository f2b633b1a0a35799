"""Lists for all users, in blocks: only one block of users is in memory.

Belongs here: the way from ratings in the database to lists, and the counts over them. Does not: the tables that the
lists are written to (`defs.recommendations`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.moment import ON_RETURN
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.tables.database import Database
from movierec_assets.tables.histories import histories_of, read_users

_EXAMPLES, _MOVIES_OF_EXAMPLE = 5, 5


@dataclass(frozen=True)
class UserLists:
    """Lists of some users.

    Attributes
    ----------
    user_ids : int32 array, shape (n,)
    likes : int array, shape (n,)
        Positives of each user among the movies of the model.
    movie_ids : int32 array, shape (n, k)
        Best first; -1 where fewer than k are left to recommend.
    scores : float32 array, shape (n, k)
    unrated : int array, shape (n,)
        Movies of the model that the user has not rated.
    """

    user_ids: IntArray
    likes: IntArray
    movie_ids: IntArray
    scores: FloatArray
    unrated: IntArray


def for_everybody(
    database: Database, recommender: Recommender, threshold: float, k: int, batch_bytes: int
) -> Iterator[UserLists]:
    """Rank for everybody with a rating, from the ratings at the time of the call, for their return.

    Lists are made as if `moment.ON_RETURN`, one day, had passed since each user's latest like: that is when people who
    come back read them. What they like in the meantime is answered from their live history.

    Parameters
    ----------
    database : Database
    recommender : Recommender
    threshold : float
        Stars from which a rating is a like.
    k : int
        Movies for each user, none of which the user has rated.
    batch_bytes : int
        Memory for one block of users: for their ratings, and as much again for the arrays of ranking.

    Yields
    ------
    UserLists
        Each user once. A user without likes gets the most popular movies, with score 0.
    """
    for ratings in read_users(database, threshold, memory=batch_bytes):
        histories = histories_of(ratings, recommender.ids.movie_ids)
        lists = recommender.for_histories(
            histories.liked,
            histories.seen,
            k,
            user_ids=histories.user_ids,
            elapsed=np.full(len(histories.user_ids), ON_RETURN),
            batch_bytes=batch_bytes,
        )
        yield UserLists(
            histories.user_ids,
            histories.liked.per_user,
            recommender.movie_ids_of(lists),
            np.asarray(lists.scores),
            len(recommender.ids.movie_ids) - np.diff(histories.seen.indptr),
        )


@dataclass(frozen=True)
class Example:
    """The head of one user's list."""

    user_id: int
    likes: int
    movie_ids: list[int]


@dataclass
class Tally:
    """Counts over all lists.

    Attributes
    ----------
    users, with_full_lists, without_likes : int
    with_all_the_rest : int
        Users with a short list, which holds every movie that the user has not rated.
    movie_ids : set of int
        Movies that are in any list.
    examples : list of Example
        Of the users with the most likes.
    """

    users: int = 0
    with_full_lists: int = 0
    without_likes: int = 0
    with_all_the_rest: int = 0
    movie_ids: set[int] = field(default_factory=set)
    examples: list[Example] = field(default_factory=list)

    def add(self, lists: UserLists) -> None:
        """Count the lists of some more users."""
        self.users += len(lists.user_ids)
        listed = (lists.movie_ids >= 0).sum(axis=1)
        full = listed == lists.movie_ids.shape[1]
        self.with_full_lists += int(full.sum())
        self.with_all_the_rest += int((~full & (listed == lists.unrated)).sum())
        self.without_likes += int((lists.likes == 0).sum())
        self.movie_ids.update(np.unique(lists.movie_ids[lists.movie_ids >= 0]).tolist())
        best_known = np.argsort(-lists.likes, kind="stable")[:_EXAMPLES]
        self.examples += [
            Example(
                int(lists.user_ids[at]),
                int(lists.likes[at]),
                [movie for movie in lists.movie_ids[at, :_MOVIES_OF_EXAMPLE].tolist() if movie >= 0],
            )
            for at in best_known
        ]
        self.examples.sort(key=lambda example: (-example.likes, example.user_id))
        del self.examples[_EXAMPLES:]
