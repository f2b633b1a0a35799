"""The recipe: the numbers that decide how a model is learned from positives.

Belongs here: their names, their built-in values, and their flat form for logs. Does not: their use (`als`,
`confidence`) and finding the best (`search`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, cast, get_args

import numpy as np

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray


@dataclass(frozen=True)
class FoldIn:
    """Recency weights: `floor + boost * exp(-rank / tau)` multiplies the confidence; rank 0 is a user's latest like."""

    floor: float = 0.2
    boost: float = 3.0
    tau: float = 10.0

    def weights(self, rank: np.ndarray[Any, Any]) -> FloatArray:
        """Multiplier for each recency rank, same shape."""
        weight: FloatArray = (self.floor + self.boost * np.exp(-rank / self.tau)).astype(np.float32)
        return weight


@dataclass(frozen=True)
class NextMovie:
    """The next-movie signal: how often a movie is liked soon after the movies that a user liked last.

    A movie b that is liked `lag` places after a, at most `window`, adds `decay ** (lag - 1)` to the pair (a, b). The
    sum of a pair is divided by `(out + 1) ** out_exponent * (in + smoothing) ** in_exponent`: `out` is the sum of all
    pairs from a, and `in` that of all pairs to b. Smoothing keeps movies with few likes down, whose sums are chance;
    with many likes, the exponent alone keeps popular movies down. The signal of a user is the sum over the user's likes
    of `exp(-recency rank / tau)` times the row of the like. It is added to the score of ALS, both standardized for each
    user, with the factor `weight * exp(-elapsed / fade)`. Elapsed is the time from the user's latest like to the
    request.

    Attributes
    ----------
    window : int
    decay, out_exponent, in_exponent, smoothing, tau : float
    weight : float
        0 switches the signal off.
    fade_hours : float
        After this time without a like, the signal counts for 37 %.

    References
    ----------
    Choi et al. (2021), Session-aware linear item-item models for session-based recommendation.
    Park et al. (2025), Temporal linear item-item model for sequential recommendation.
    """

    window: int = 30
    decay: float = 0.95
    out_exponent: float = 0.5
    in_exponent: float = 0.7
    smoothing: float = 200.0
    tau: float = 4.0
    weight: float = 1.0
    fade_hours: float = 1.0

    @property
    def on(self) -> bool:
        """Whether the signal counts at all."""
        return self.weight > 0

    @property
    def matrix(self) -> tuple[int, float, float, float, float]:
        """The numbers that decide the matrix of `next_movies.NextMovies`."""
        return self.window, self.decay, self.out_exponent, self.in_exponent, self.smoothing


NO_NEXT_MOVIE = NextMovie(weight=0.0)
"""The signal of recipes without one; also of those from before there was one."""

ConfidenceKind = Literal["binary", "rating", "bm25"]


@dataclass(frozen=True)
class Recipe:
    """All numbers that decide which model is learned from a matrix of positives.

    Attributes
    ----------
    confidence : {"binary", "rating", "bm25"}
        See `confidence.Confidence`.
    alpha : float
        Mean confidence of a positive; an unseen pair has 1 (Hu, Koren and Volinsky 2008).
    regularization : float
        L2 penalty on both factor matrices.
    factors, iterations : int
    seed : int
        Of the start values. The same seed gives the same factors, bit for bit on one kind of processor.
    fold_in : FoldIn
        Recency weights of the user vectors that are scored and served.
    next_movie : NextMovie
        Signal that is added to the scores in a sitting.
    """

    confidence: ConfidenceKind = "binary"
    alpha: float = 5.0
    regularization: float = 10.0
    factors: int = 64
    iterations: int = 15
    seed: int = 1
    fold_in: FoldIn = field(default_factory=FoldIn)
    next_movie: NextMovie = field(default_factory=NextMovie)

    def as_dict(self) -> dict[str, float | int | str]:
        """Flat form for logs, with a prefix for the fields of the fold-in and of the next-movie signal."""
        flat = asdict(self)
        parts = {part: flat.pop(part) for part in ("fold_in", "next_movie")}
        return flat | {f"{part}_{name}": value for part, values in parts.items() for name, value in values.items()}

    @classmethod
    def from_dict(cls, flat: dict[str, Any]) -> Recipe:
        """Read the flat form back; values may be text, as MLflow stores them.

        Without any field of the next-movie signal, as in recipes of early releases, the signal is off. Later ones had
        the signal without the field `smoothing`; they were fitted with EARLIER_SMOOTHING.

        Raises
        ------
        RecsysError
            When a field is missing or has a wrong value.
        """
        try:
            return cls(
                confidence=_kind(flat["confidence"]),
                alpha=float(flat["alpha"]),
                regularization=float(flat["regularization"]),
                factors=int(flat["factors"]),
                iterations=int(flat["iterations"]),
                seed=int(flat["seed"]),
                fold_in=FoldIn(*(float(flat[f"fold_in_{name}"]) for name in ("floor", "boost", "tau"))),
                next_movie=_next_movie(flat),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecsysError(f"Not a recipe: {error!r}; expected the fields {sorted(cls().as_dict())}.") from error


def without_signal(recipe: Recipe) -> Recipe:
    """The recipe with the next-movie signal switched off."""
    return replace(recipe, next_movie=NO_NEXT_MOVIE)


EARLIER_SMOOTHING = 1.0
"""Smoothing of the next-movie signal before it was a field of the recipe."""


def _next_movie(flat: dict[str, Any]) -> NextMovie:
    names = [each.name for each in fields(NextMovie)]
    if not any(f"next_movie_{name}" in flat for name in names):
        return NO_NEXT_MOVIE
    earlier = {"next_movie_smoothing": EARLIER_SMOOTHING} | flat
    window, *others = (float(earlier[f"next_movie_{name}"]) for name in names)
    return NextMovie(int(window), *others)


def _kind(name: str) -> ConfidenceKind:
    if name not in get_args(ConfidenceKind):
        raise ValueError(f"confidence {name!r} is none of {', '.join(get_args(ConfidenceKind))}")
    return cast(ConfidenceKind, name)
