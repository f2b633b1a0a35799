"""The recipe: the numbers that decide how a model is learned from positives.

Belongs here: their names, their built-in values, and their flat form for logs. Does not: their use (`als`,
`confidence`) and finding the best (`search`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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
    """

    confidence: ConfidenceKind = "binary"
    alpha: float = 5.0
    regularization: float = 10.0
    factors: int = 64
    iterations: int = 15
    seed: int = 1
    fold_in: FoldIn = field(default_factory=FoldIn)

    def as_dict(self) -> dict[str, float | int | str]:
        """Flat form for logs, with a prefix for the fields of the fold-in."""
        flat = asdict(self)
        fold_in = flat.pop("fold_in")
        return {**flat, **{f"fold_in_{name}": value for name, value in fold_in.items()}}

    @classmethod
    def from_dict(cls, flat: dict[str, Any]) -> Recipe:
        """Read the flat form back; values may be text, as MLflow stores them.

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
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecsysError(f"Not a recipe: {error!r}; expected the fields {sorted(cls().as_dict())}.") from error


def _kind(name: str) -> ConfidenceKind:
    if name not in get_args(ConfidenceKind):
        raise ValueError(f"confidence {name!r} is none of {', '.join(get_args(ConfidenceKind))}")
    return cast(ConfidenceKind, name)
