"""The contract between the code that needs factors and the engine that fits them.

Belongs here: the contract of a fit. Does not: engines. `als.engine` makes the one there is.
Training, search and evaluation take an engine as an argument; the asset or the command chooses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import Recipe


@dataclass(frozen=True)
class Iteration:
    """One pass of a fit.

    Attributes
    ----------
    number, of : int
        Counted from 1.
    seconds : float
    loss : float or None
        Training loss after the pass, where it was asked for.
    movies : float32 array, shape (n_movies, factors)
        Movie factors after the pass; the next pass changes them in place.
    """

    number: int
    of: int
    seconds: float
    loss: float | None
    movies: FloatArray


OnIteration = Callable[[Iteration], None]


class EnoughIterations(Exception):  # noqa: N818
    """Raised by `OnIteration` to end a fit after the iteration that was reported."""


@dataclass(frozen=True)
class Factors:
    """A fitted model.

    Attributes
    ----------
    users : float32 array, shape (n_users, factors)
        User vectors of the last iteration. Scored and served vectors are solved again by `als.fold_in`.
    movies : float32 array, shape (n_movies, factors)
    confidence : Confidence
        Learned from the same positives.
    next_movies : NextMovies or None
        Counted in the same positives; without it, movies are ranked by ALS alone.
    """

    users: FloatArray
    movies: FloatArray
    confidence: Confidence
    next_movies: NextMovies | None = None

    @classmethod
    def of_movies(cls, movies: FloatArray, confidence: Confidence) -> Self:
        """Factors without user vectors, which are solved when they are needed."""
        return cls(movies[:0], movies, confidence)

    def with_next(self, next_movies: NextMovies | None) -> Self:
        """The same factors with a next-movie matrix."""
        return replace(self, next_movies=next_movies)

    def require_finite(self) -> None:
        """Raise a `RecsysError` when a factor is not a number."""
        for name, matrix in (("user", self.users), ("movie", self.movies)):
            broken = int((~np.isfinite(matrix)).any(axis=1).sum())
            if broken:
                raise RecsysError(f"{broken} of {len(matrix)} {name} vectors are not finite; raise the regularization.")


class Fit(Protocol):
    """Factorizes positives."""

    def __call__(
        self,
        positives: Interactions,
        recipe: Recipe,
        progress: OnIteration | None = None,
        *,
        loss_every: int = 0,
        start: FloatArray | None = None,
    ) -> Factors:
        """Factorize positives by confidence-weighted alternating least squares.

        Parameters
        ----------
        positives : Interactions, shape (n_users, n_movies)
        recipe : Recipe
        progress : callable, optional
            Called after each iteration; may raise `EnoughIterations`.
        loss_every : int
            Compute the training loss after the first and the last iteration and after every `loss_every`-th, which
            costs about a tenth of an iteration; 0 for never.
        start : float32 array, shape (n_movies, factors), optional
            Movie factors to start from; without them, random ones by the recipe's seed.

        Raises
        ------
        RecsysError
            When there is no positive, or a factor is not finite.

        References
        ----------
        Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets.
        """
