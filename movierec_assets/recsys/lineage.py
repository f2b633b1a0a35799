"""What earlier trainings have seen, so that no fit is scored on what it was fitted to.

Belongs here: what a training leaves for the next one, and which held-out likes the fits that it leaves know already,
themselves or through the fits that they go back to. Whether training goes on from them is decided in `warm_start`.

A like is known to a fit when the fit, or one that it goes back to, was fitted to the pair of user and movie, or to a
later like of the same user. A pair can be held out although it is known: somebody rates an old favourite again, and
the old like is their latest one now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from movierec_assets.recsys.interactions import Arrays, BoolArray, FloatArray, IdMaps, IntArray, Interactions, positions
from movierec_assets.recsys.recipe import Recipe

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Course:
    """How validation NDCG@10 rose over a fit on the training part.

    Attributes
    ----------
    ndcg : tuple of float
        After each iteration.
    """

    ndcg: tuple[float, ...]

    @property
    def iterations(self) -> int:
        """Iterations that were made."""
        return len(self.ndcg)

    def reaches(self, ndcg: float) -> int | None:
        """Iterations after which it is at least so high; None when it never is."""
        return next((number for number, value in enumerate(self.ndcg, start=1) if value >= ndcg), None)


@dataclass(frozen=True)
class Legacy:
    """What a training leaves for the next one.

    Attributes
    ----------
    movie_ids : int array, shape (n_movies,)
        Rows of the factors.
    scored, served : float32 array, shape (n_movies, factors)
        Movie factors of the fits that were scored and registered.
    trained : float32 array, shape (n_movies, factors), or None
        Of the fit on the training part alone; a cold training makes none.
    test_pairs, unwatched_pairs : int array, shape (n, 2)
        User and movie ids that were held out and that neither `scored`, or `trained`, nor what either goes back to was
        fitted to.
    user_ids : int array, shape (n_users,)
        Rows of the next two.
    latest_scored, latest_trained : int64 array, shape (n_users,)
        Unix seconds of the latest like of each user that `scored`, or `trained`, or what either goes back to, was
        fitted to; the smallest integer where there is none.
    withdrawn : int array, shape (n, 2)
        User and movie ids of likes that a fit it goes back to had, and that were no likes any more later.
    cold : Course or None
        Of the last fit on the training part that started cold.
    in_a_row : int
        Warm trainings since the last cold one.
    """

    movie_ids: IntArray
    scored: FloatArray
    served: FloatArray
    trained: FloatArray | None
    test_pairs: IntArray
    unwatched_pairs: IntArray
    user_ids: IntArray
    latest_scored: IntArray
    latest_trained: IntArray
    withdrawn: IntArray
    cold: Course | None
    in_a_row: int

    def to_arrays(self) -> Arrays:
        """Named arrays; what is not there is empty."""
        nothing = np.empty((0, 0), dtype=np.float32)
        about = {"cold": self.cold.ndcg if self.cold else None, "in_a_row": self.in_a_row}
        return {
            "movie_ids": self.movie_ids,
            "scored": self.scored,
            "served": self.served,
            "trained": nothing if self.trained is None else self.trained,
            "test_pairs": self.test_pairs,
            "unwatched_pairs": self.unwatched_pairs,
            "user_ids": self.user_ids,
            "latest_scored": self.latest_scored,
            "latest_trained": self.latest_trained,
            "withdrawn": self.withdrawn,
            "about": np.array(json.dumps(about)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back what `to_arrays` gave."""
        about = json.loads(str(arrays["about"]))
        if "unwatched_pairs" in arrays:
            unwatched = arrays["unwatched_pairs"]
        else:  # an earlier version kept what is in validation by itself
            unwatched = np.concatenate([arrays["test_pairs"], arrays["validation_pairs"]])
        return cls(
            movie_ids=arrays["movie_ids"],
            scored=arrays["scored"],
            served=arrays["served"],
            trained=arrays["trained"] if len(arrays["trained"]) else None,
            test_pairs=arrays["test_pairs"],
            unwatched_pairs=unwatched,
            user_ids=arrays["user_ids"],
            latest_scored=arrays["latest_scored"],
            latest_trained=arrays["latest_trained"],
            withdrawn=arrays["withdrawn"],
            cold=Course(tuple(about["cold"])) if about["cold"] else None,
            in_a_row=int(about["in_a_row"]),
        )


@dataclass(frozen=True)
class Predecessor:
    """The training to go on from.

    Attributes
    ----------
    recipe : Recipe
    ids : IdMaps
        Of `positives`.
    positives : csr_matrix, shape (n_users, n_movies)
        Everything it was trained on or scored with; non-zero where a user liked a movie.
    legacy : Legacy
    kept : Predecessor or None
        A later training of the same recipe that did not become the champion. Its fit on the training part goes on all
        the same: a champion that started cold has none.
    """

    recipe: Recipe
    ids: IdMaps
    positives: csr_matrix
    legacy: Legacy
    kept: Predecessor | None = None

    @property
    def watched(self) -> Predecessor:
        """The training whose fit on the training part goes on."""
        return self if self.kept is None else self.kept

    @property
    def in_a_row(self) -> int:
        """Warm trainings since the last cold one."""
        return max(self.legacy.in_a_row, self.watched.legacy.in_a_row)


def seen_by_scored(predecessor: Predecessor, part: Interactions, ids: IdMaps) -> BoolArray:
    """Mark interactions on which the predecessor's scored fit must not be scored, in the order of `triplets`.

    The fit, or what it goes back to, was fitted to the interaction, or to a later one of the same user.
    """
    legacy = predecessor.legacy
    seen = was_trained_on(predecessor, pairs_of(part, ids), legacy.test_pairs)
    return seen | _not_later(part, ids, legacy.user_ids, legacy.latest_scored)


def seen_by_trained(predecessor: Predecessor, part: Interactions, ids: IdMaps) -> BoolArray:
    """Mark interactions on which the predecessor's fit on the training part must not be scored."""
    legacy = predecessor.legacy
    seen = was_trained_on(predecessor, pairs_of(part, ids), legacy.unwatched_pairs)
    return seen | _not_later(part, ids, legacy.user_ids, legacy.latest_trained)


def users_with(part: Interactions, marked: BoolArray) -> BoolArray:
    """Mark the users of marked interactions, shape (n_users,)."""
    users = np.zeros(part.shape[0], dtype=bool)
    users[part.triplets()[0][marked]] = True
    return users


def leaking_users(predecessor: Predecessor, test: Interactions, ids: IdMaps) -> BoolArray:
    """Mark users on whom the predecessor's scored fit must not be scored now, shape (n_users,)."""
    return users_with(test, seen_by_scored(predecessor, test, ids))


def never_had(predecessor: Predecessor | None, parts: Sequence[Interactions], ids: IdMaps, name: str) -> IntArray:
    """User and movie ids of some parts that a fit never had, if it goes on from the predecessor, shape (n, 2).

    Parameters
    ----------
    predecessor : Predecessor or None
    parts : sequence of Interactions
        What is held out from the fit now.
    ids : IdMaps
    name : str
        Field of `Legacy` with the pairs that the predecessor's fit never had.
    """
    pairs = np.concatenate([pairs_of(part, ids) for part in parts])
    if predecessor is None:
        return pairs
    return pairs[~was_trained_on(predecessor, pairs, getattr(predecessor.legacy, name))]


def only_removes(predecessor: Predecessor, positives: Interactions, ids: IdMaps) -> bool:
    """Whether all likes are the predecessor's as well: nothing was added since, at most something was taken away."""
    had = predecessor.positives
    if len(positives) > had.nnz:
        return False
    rows, columns, _, _ = positives.triplets()
    users = predecessor.ids.users_at(ids.user_ids)[rows]
    movies = predecessor.ids.movies_at(ids.movie_ids)[columns]
    if (users < 0).any() or (movies < 0).any():
        return False
    return bool((np.asarray(had[users, movies]).ravel() != 0).all())


def withdrawn(predecessor: Predecessor, positives: Interactions, ids: IdMaps) -> IntArray:
    """Likes that the predecessor or what it goes back to had, and that are none now, shape (n, 2)."""
    had = predecessor.positives
    before = np.repeat(np.arange(had.shape[0], dtype=np.int32), np.diff(had.indptr))
    users = ids.users_at(predecessor.ids.user_ids)[before]
    movies = ids.movies_at(predecessor.ids.movie_ids)[had.indices]
    known = (users >= 0) & (movies >= 0)
    # Ids increase with places on either side, so what is known is in order already: matrices are merged, not sorted.
    ends = np.cumsum(np.bincount(users[known], minlength=ids.shape[0]))
    shape = positives.shape
    had_of_known = csr_matrix((np.ones(int(known.sum())), movies[known], np.concatenate([[0], ends])), shape=shape)
    has = csr_matrix((np.ones(len(positives)), positives.stars.indices, positives.stars.indptr), shape=shape)
    lost_users, lost_movies = (had_of_known > has).nonzero()
    unknown = np.flatnonzero(~known)
    gone = np.concatenate(
        [
            predecessor.legacy.withdrawn,
            np.stack([ids.user_ids[lost_users], ids.movie_ids[lost_movies]], axis=1),
            np.stack(
                [predecessor.ids.user_ids[before[unknown]], predecessor.ids.movie_ids[had.indices[unknown]]], axis=1
            ),
        ]
    )
    return np.unique(gone, axis=0)


def latest_times(
    part: Interactions, ids: IdMaps, predecessor: Predecessor | None, name: str, users: IntArray
) -> IntArray:
    """Latest time of each user in a part, or in what the predecessor's fit goes back to, shape (len(users),).

    Parameters
    ----------
    part : Interactions
    ids : IdMaps
        Of the part.
    predecessor : Predecessor or None
    name : str
        Field of `Legacy` with the latest times of that fit.
    users : int array
        Ids, ascending, among them all of `ids`.
    """
    rows, _, _, rated_at = part.triplets()
    latest = np.full(len(users), _NEVER)
    np.maximum.at(latest, positions(users, ids.user_ids)[rows], rated_at)
    if predecessor is not None:
        places = positions(predecessor.legacy.user_ids, users)
        known = places >= 0
        latest[known] = np.maximum(latest[known], getattr(predecessor.legacy, name)[places[known]])
    return latest


def _not_later(part: Interactions, ids: IdMaps, user_ids: IntArray, latest: IntArray) -> BoolArray:
    """Mark interactions of users that are not later than a time for each user."""
    users, _, _, rated_at = part.triplets()
    places = positions(user_ids, ids.user_ids)[users]
    marked: BoolArray = (places >= 0) & (rated_at <= latest[places])
    return marked


def was_trained_on(predecessor: Predecessor, pairs: IntArray, held_out: IntArray) -> BoolArray:
    """Mark pairs of user and movie id that the predecessor had, other than those it held out, shape (n,).

    Those that were withdrawn before count as well.
    """
    users, movies = predecessor.ids.users_at(pairs[:, 0]), predecessor.ids.movies_at(pairs[:, 1])
    marked = (users >= 0) & (movies >= 0)
    known = np.flatnonzero(marked)
    if len(known):
        marked[known] = np.asarray(predecessor.positives[users[known], movies[known]]).ravel() != 0
    marked &= ~np.isin(_keys(pairs), _keys(held_out))
    marked |= np.isin(_keys(pairs), _keys(predecessor.legacy.withdrawn))
    return marked


def pairs_of(part: Interactions, ids: IdMaps) -> IntArray:
    """User and movie ids of interactions, shape (n, 2)."""
    users, movies, _, _ = part.triplets()
    return np.stack([ids.user_ids[users], ids.movie_ids[movies]], axis=1)


def _keys(pairs: IntArray) -> IntArray:
    keys: IntArray = (pairs[:, 0].astype(np.int64) << 32) | pairs[:, 1].astype(np.int64)
    return keys
