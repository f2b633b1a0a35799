"""The state that a training leaves for the next one, so that the next one can continue its fits.

Belongs here: the state, its named arrays, and the training it comes from. Does not: whether a training continues
another one (`warm_start`), and which held-out likes a continued fit knows (`leakage`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from movierec_assets.recsys.interactions import Arrays, FloatArray, IdMaps, IntArray
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import Recipe


@dataclass(frozen=True)
class LearningCurve:
    """Validation NDCG@10 over the iterations of a validation fit.

    Attributes
    ----------
    ndcg : tuple of float
        After each iteration.
    """

    ndcg: tuple[float, ...]

    @property
    def iterations(self) -> int:
        """Number of iterations."""
        return len(self.ndcg)

    def reaches(self, ndcg: float) -> int | None:
        """Number of iterations until the curve is at least this high; None when it never is."""
        return next((number for number, value in enumerate(self.ndcg, start=1) if value >= ndcg), None)


@dataclass(frozen=True)
class KnownLikes:
    """The likes that a fit knows: the positives of its training and of those it continued, without the held-out ones.

    Attributes
    ----------
    held_out : int array, shape (n, 2)
        User and movie ids that were held out from the fit and from every fit it continued.
    latest : int64 array, shape (n_users,)
        Unix seconds of the latest like of each user in the data of the fit and of the fits it continued; the smallest
        integer for users without one. In the order of `TrainingState.user_ids`.
    """

    held_out: IntArray
    latest: IntArray


@dataclass(frozen=True)
class TrainingState:
    """Movie factors of a training's fits, and what these fits know.

    Attributes
    ----------
    movie_ids : int array, shape (n_movies,)
        Rows of the factors.
    scored, served : float32 array, shape (n_movies, factors)
        Movie factors of the fit that was scored and of the one that was registered.
    validation : float32 array, shape (n_movies, factors), or None
        Movie factors of the validation fit; a cold training makes none.
    user_ids : int array, shape (n_users,)
    known_to_scored, known_to_validation : KnownLikes
    withdrawn : int array, shape (n, 2)
        User and movie ids of likes that an earlier training in the chain had and a later one had not.
    cold_curve : LearningCurve or None
        Of the last validation fit that started cold.
    warm_in_a_row : int
        Warm trainings since the last cold one.
    next_movies : NextMovies or None
        Of the scored fit; None when the recipe has no next-movie signal. That of the served fit is in its version.
    """

    movie_ids: IntArray
    scored: FloatArray
    served: FloatArray
    validation: FloatArray | None
    user_ids: IntArray
    known_to_scored: KnownLikes
    known_to_validation: KnownLikes
    withdrawn: IntArray
    cold_curve: LearningCurve | None
    warm_in_a_row: int
    next_movies: NextMovies | None = None

    def to_arrays(self) -> Arrays:
        """Named arrays; without validation factors they are empty, and without a next-movie matrix there are none."""
        about = {"cold": self.cold_curve.ndcg if self.cold_curve else None, "in_a_row": self.warm_in_a_row}
        return {
            "movie_ids": self.movie_ids,
            "scored": self.scored,
            "served": self.served,
            "trained": np.empty((0, 0), dtype=np.float32) if self.validation is None else self.validation,
            "test_pairs": self.known_to_scored.held_out,
            "unwatched_pairs": self.known_to_validation.held_out,
            "user_ids": self.user_ids,
            "latest_scored": self.known_to_scored.latest,
            "latest_trained": self.known_to_validation.latest,
            "withdrawn": self.withdrawn,
            "about": np.array(json.dumps(about)),
            **({} if self.next_movies is None else self.next_movies.to_arrays()),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back the arrays of `to_arrays`."""
        about = json.loads(str(arrays["about"]))
        if "unwatched_pairs" in arrays:
            held_out = arrays["unwatched_pairs"]
        else:  # earlier releases stored the pairs of the validation part alone
            held_out = np.concatenate([arrays["test_pairs"], arrays["validation_pairs"]])
        return cls(
            movie_ids=arrays["movie_ids"],
            scored=arrays["scored"],
            served=arrays["served"],
            validation=arrays["trained"] if len(arrays["trained"]) else None,
            user_ids=arrays["user_ids"],
            known_to_scored=KnownLikes(arrays["test_pairs"], arrays["latest_scored"]),
            known_to_validation=KnownLikes(held_out, arrays["latest_trained"]),
            withdrawn=arrays["withdrawn"],
            cold_curve=LearningCurve(tuple(about["cold"])) if about["cold"] else None,
            warm_in_a_row=int(about["in_a_row"]),
            next_movies=NextMovies.from_arrays(arrays),
        )


@dataclass(frozen=True)
class Predecessor:
    """An earlier training that can be continued.

    Attributes
    ----------
    recipe : Recipe
    ids : IdMaps
        Of `positives`.
    positives : csr_matrix, shape (n_users, n_movies)
        All its positives, the held-out ones included; non-zero where a user liked a movie.
    state : TrainingState
    kept : Predecessor or None
        A later training of the same recipe that did not become the champion. Its validation fit is the one to continue.
    """

    recipe: Recipe
    ids: IdMaps
    positives: csr_matrix
    state: TrainingState
    kept: Predecessor | None = None

    @property
    def for_validation(self) -> Predecessor:
        """The training whose validation fit can be continued."""
        return self if self.kept is None else self.kept

    @property
    def warm_in_a_row(self) -> int:
        """Warm trainings since the last cold one."""
        return max(self.state.warm_in_a_row, self.for_validation.state.warm_in_a_row)
