"""Ratings as columns of numbers: the one form in which they go from room to room.

Belongs here: the arrays, and how many ratings make a user eligible. Does not: reading, storing or learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

ELIGIBLE_ABOVE = 5
"""Users with more ratings than this are learned from; the view `eligible_users` says the same."""
FIRST_APP_USER_ID = 1_000_000_000
"""User ids from here up belong to accounts created in the app, never to a dataset."""
STAR_BITS = 4
"""A movie and its stars can be one number: the lowest bits are half stars, the others the movie's id."""
_DTYPES: dict[str, type[np.generic]] = {
    "user_id": np.int32,
    "movie_id": np.int32,
    "rating": np.float32,
    "rated_at": np.int64,
    "line": np.int32,
}


@dataclass(frozen=True)
class RatingColumns:
    """Ratings as parallel arrays.

    Attributes
    ----------
    user_id, movie_id : int32 array, shape (n,)
    rating : float32 array, shape (n,)
        Stars, 0.5 to 5.0 in steps of one half.
    rated_at : int64 array, shape (n,)
        Unix seconds.
    """

    user_id: npt.NDArray[np.int32]
    movie_id: npt.NDArray[np.int32]
    rating: npt.NDArray[np.float32]
    rated_at: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user_id)

    def chosen(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]) -> Self:
        """Some of the rows, by mask or by index."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, blocks: Sequence[Self]) -> Self:
        """All rows of some blocks, one block after the other."""
        return cls(
            *(
                np.concatenate([np.empty(0, _DTYPES[field.name]), *(getattr(block, field.name) for block in blocks)])
                for field in fields(cls)
            )
        )

    @classmethod
    def cast(cls, *columns: npt.ArrayLike) -> Self:
        """From columns in the order of the attributes; those of other types are converted."""
        return cls(
            *(np.asarray(column, _DTYPES[field.name]) for field, column in zip(fields(cls), columns, strict=True))
        )

    @classmethod
    def of(cls, table: Any) -> Self:
        """From a data frame whose columns have these names."""
        return cls.cast(*(table[field.name] for field in fields(cls)))


@dataclass(frozen=True)
class FileRatings(RatingColumns):
    """Ratings that were read from a file, in the order of the file; several may be of one pair of user and movie.

    Attributes
    ----------
    line : int32 array, shape (n,)
        Physical line of the file, from 1.
    """

    line: npt.NDArray[np.int32]


def pair_key(user: npt.NDArray[np.int32], movie: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """One number for each pair, in the same order as the pairs."""
    key = user.astype(np.int64)
    key <<= 32
    key |= movie
    return key
