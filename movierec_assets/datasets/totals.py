"""How often each movie got which stars, and how many ratings each user gave.

What belongs here: counting, and taking counts back. What does not: storing them.
"""

from __future__ import annotations

import polars as pl

from .rating_scan import Accepted

_FEW_GROUPS = 1 << 18
"""Groups that are kept apart, block by block, before they are added up."""


class Totals:
    """Counts by movie and stars, and by user, added up block by block."""

    def __init__(self) -> None:
        self._stars = _Tally({"movie_id": pl.Int32, "rating": pl.Float32})
        self._users = _Tally({"user_id": pl.Int32})

    def add(self, rows: Accepted, sign: int = 1) -> None:
        """Count rows; with a `sign` of -1, take them back."""
        self._stars.add(pl.DataFrame({"movie_id": rows.movie_id, "rating": rows.rating}), sign)
        self._users.add(pl.DataFrame({"user_id": rows.user_id}), sign)

    def of_stars(self) -> pl.DataFrame:
        """Columns movie_id, rating, and ratings, which is never 0."""
        return self._stars.frame()

    def of_users(self) -> pl.DataFrame:
        """Columns user_id, and ratings, which is never 0."""
        return self._users.frame()


class _Tally:
    """How often each value of some columns came; memory for the values that differ, however many blocks hold them."""

    def __init__(self, keys: dict[str, type[pl.DataType]]) -> None:
        self._keys = list(keys)
        self._whole = pl.DataFrame(schema={**keys, "ratings": pl.Int64})
        self._parts: list[pl.DataFrame] = []

    def add(self, keys: pl.DataFrame, sign: int) -> None:
        """Count rows of the columns, or take them back."""
        self._parts.append(keys.group_by(self._keys).agg(pl.len().cast(pl.Int64).alias("ratings") * sign))
        if sum(part.height for part in self._parts) > max(_FEW_GROUPS, self._whole.height):
            self._sum()

    def frame(self) -> pl.DataFrame:
        """The columns in order, and ratings, which is never 0."""
        self._sum()
        return self._whole.filter(pl.col("ratings") != 0).sort(self._keys)

    def _sum(self) -> None:
        whole = pl.concat([self._whole, *self._parts])
        self._whole = whole.group_by(self._keys).agg(pl.col("ratings").sum())
        self._parts.clear()
