"""How often each movie got which stars.

What belongs here: counting, and taking counts back. What does not: storing them.
"""

from __future__ import annotations

import polars as pl

from .rating_scan import Accepted

_KEYS = ("movie_id", "rating")


class Totals:
    """Counts by movie and stars, added up block by block."""

    def __init__(self) -> None:
        self._parts: list[pl.DataFrame] = []

    def add(self, rows: Accepted, sign: int = 1) -> None:
        """Count rows; with a `sign` of -1, take them back."""
        frame = pl.DataFrame({"movie_id": rows.movie_id, "rating": rows.rating})
        self._parts.append(frame.group_by(_KEYS).agg(pl.len().cast(pl.Int64).alias("ratings") * sign))

    def frame(self) -> pl.DataFrame:
        """Columns movie_id, rating, and ratings, which is never 0."""
        schema = {"movie_id": pl.Int32, "rating": pl.Float32, "ratings": pl.Int64}
        whole = pl.concat([pl.DataFrame(schema=schema), *self._parts])
        return whole.group_by(_KEYS).agg(pl.col("ratings").sum()).filter(pl.col("ratings") != 0).sort(_KEYS)
