"""Number of ratings by movie and stars, by user, and by month.

Belongs here: adding and subtracting counts. Does not: storing them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from movierec_assets.ratings import STAR_BITS, RatingColumns

_DAY = 86_400
_TABLE_PER_KEY = 4
_FEW_GROUPS = 1 << 18
"""Groups that are kept block by block before they are added up."""


class Totals:
    """Counts by movie and stars, by user, and by month, added up block by block."""

    def __init__(self) -> None:
        self._stars = _Counts()
        self._users = _Counts()
        self._days = np.zeros(0, np.int64)

    def add(self, rows: RatingColumns, sign: int = 1) -> None:
        """Add the counts of some rows, or subtract them with a `sign` of -1."""
        # As one number, a movie and its stars are counted in a tenth of the time that two columns take.
        halves = (rows.rating * 2).astype(np.int64)
        self._stars.add((rows.movie_id.astype(np.int64) << STAR_BITS) | halves, sign)
        self._users.add(rows.user_id.astype(np.int64), sign)
        days = np.bincount(rows.rated_at // _DAY, minlength=len(self._days))
        days *= sign
        days[: len(self._days)] += self._days
        self._days = days

    def of_stars(self) -> pl.DataFrame:
        """Columns movie_id, rating, and ratings, which is never 0."""
        key = pl.col("key")
        return self._stars.frame().select(
            movie_id=(key // (1 << STAR_BITS)).cast(pl.Int32),
            rating=(key % (1 << STAR_BITS)).cast(pl.Float32) / 2,
            ratings="ratings",
        )

    def of_users(self) -> pl.DataFrame:
        """Columns user_id, and ratings, which is never 0."""
        return self._users.frame().select(user_id=pl.col("key").cast(pl.Int32), ratings="ratings")

    def of_months(self) -> dict[str, int]:
        """Ratings of each month in UTC, as in {"2001-09": 12}, the earliest first; no number is 0."""
        days = np.flatnonzero(self._days)
        months, starts = np.unique(days.astype("datetime64[D]").astype("datetime64[M]"), return_index=True)
        counts = np.add.reduceat(self._days[days], starts) if len(days) else self._days[:0]
        return {str(month): int(count) for month, count in zip(months, counts, strict=True) if count}


class _Counts:
    """How often each number occurred; memory grows with the distinct numbers, not with the blocks."""

    def __init__(self) -> None:
        self._whole = pl.DataFrame(schema={"key": pl.Int64, "ratings": pl.Int64})
        self._parts: list[pl.DataFrame] = []

    def add(self, keys: npt.NDArray[np.int64], sign: int) -> None:
        """Add how often each number occurs, or subtract it with a `sign` of -1."""
        if len(keys) == 0:
            return
        self._parts.append(_counted(keys).with_columns(pl.col("ratings") * sign))
        if sum(part.height for part in self._parts) > max(_FEW_GROUPS, self._whole.height):
            self._sum()

    def frame(self) -> pl.DataFrame:
        """Columns key, increasing, and ratings, which is never 0."""
        self._sum()
        return self._whole.filter(pl.col("ratings") != 0).sort("key")

    def _sum(self) -> None:
        whole = pl.concat([self._whole, *self._parts])
        self._whole = whole.group_by("key").agg(pl.col("ratings").sum())
        self._parts.clear()


def _counted(keys: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Columns key, and ratings; numbers that lie close together are counted in a table, without hashing them."""
    lowest = int(keys.min())
    if int(keys.max()) - lowest < _TABLE_PER_KEY * len(keys):
        counts = np.bincount(keys - lowest)
        found = np.flatnonzero(counts)
        return pl.DataFrame({"key": found + lowest, "ratings": counts[found]})
    return pl.DataFrame({"key": keys}).group_by("key").agg(pl.len().cast(pl.Int64).alias("ratings"))
