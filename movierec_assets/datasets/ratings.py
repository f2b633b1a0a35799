"""A file of ratings as a whole: reading it into memory, and checking it before a load.

Belongs here: both. Does not: the pass over the file and the values of a rating (`rating_scan`), the rating that counts
among several (`duplicates`), storing anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.duplicates import find_superseded
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.judgement import Limits, misfit_of_ratings
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.rating_rows import BLOCK_BYTES
from movierec_assets.datasets.rating_scan import RatingScan, complete_rows
from movierec_assets.datasets.rejects import Rejects
from movierec_assets.progress import Progress
from movierec_assets.ratings import FileRatings, RatingColumns, pair_key

CHECKED_BYTES = 64 << 20
"""Bytes that are parsed before movies are replaced: two million ratings show whether the file fits."""
ANYTHING = Limits(rejected_share=1.0, unordered=True)
"""Limits that reject no file of which at least one row loads."""


@dataclass(frozen=True)
class Ratings:
    """The content of a file of ratings.

    Attributes
    ----------
    columns : RatingColumns
        In file order, one rating per user and movie.
    rows_read : int
        Rows in the file, header and blank lines left out; always `len(self) + len(rejects)`.
    rows_complete : int
        Rows in which every column has a value, whether or not it is a valid one.
    rejects : Rejects
        The rows that did not load.
    misfit : str or None
        Why a load would refuse the file; None when it would not.
    assumed_utc : int
        Rows whose times have no time zone, so that UTC was assumed.
    """

    columns: RatingColumns
    rows_read: int
    rows_complete: int
    rejects: Rejects
    misfit: str | None = None
    assumed_utc: int = 0

    def __len__(self) -> int:
        return len(self.columns)


def read_ratings(
    files: MovieLensFiles,
    known_movie_ids: npt.ArrayLike,
    *,
    progress: Progress | None = None,
    now: float | None = None,
    block_bytes: int = BLOCK_BYTES,
    limits: Limits | None = None,
) -> Ratings:
    """Read and validate the file of ratings.

    A row is rejected if a value is missing (empty, NaN, NA, null) or is not a number, if an id is outside 1 to
    2147483647, if the user id is reserved for the app, if the movie is not known, if the rating is off the half-star
    grid, or if the timestamp is not between 1970 and tomorrow in seconds. A last line without a line end is rejected
    if its timestamp is before 1995: that is how a later time with missing digits reads. Of two ratings of a movie by
    one user the later timestamp wins, and the later line where timestamps are equal.

    Parameters
    ----------
    files : MovieLensFiles
        The dataset.
    known_movie_ids : array_like of int
        Ids of the movies that may be rated, as from `read_movies(files).movie_id`.
    progress : callable, optional
        Called with bytes read and bytes in all after each block.
    now : float, optional
        Unix time, for the rule that no rating is from after tomorrow; the present by default.
    block_bytes : int
        Bytes read at a time. Memory beyond the result is a small multiple of it.
    limits : Limits, optional
        By which `misfit` is decided; the defaults of the settings by default.

    Raises
    ------
    DatasetError
        If the file has no readable header, changes while it is read, or holds no row that loads.
    """
    with RatingScan(files, known_movie_ids, progress=progress, now=now, block_bytes=block_bytes) as scan:
        rows = FileRatings.joined(list(scan.blocks()))
        superseded = find_superseded(pair_key(rows.user_id, rows.movie_id), rows.rated_at, rows.line)
        counts, limits = scan.reject_counts(), limits or Limits()
        misfit = misfit_of_ratings(files.rating_file, counts, scan.evidence, limits, movies=files.movie_file.shown)
        if len(rows) == 0:
            raise DatasetError(str(misfit))
        rejects = scan.rejects(superseded)
    if len(superseded):
        keep = np.ones(len(rows), np.bool_)
        keep[superseded.position] = False
        rows = rows.chosen(keep)
    return Ratings(
        RatingColumns(rows.user_id, rows.movie_id, rows.rating, rows.rated_at),
        rows_read=len(rows) + len(rejects),
        rows_complete=len(rows) + complete_rows(rejects),
        rejects=rejects,
        misfit=misfit,
        assumed_utc=scan.assumed_utc,
    )


def check_ratings(
    files: MovieLensFiles,
    known_movie_ids: npt.ArrayLike,
    *,
    progress: Progress | None = None,
    limits: Limits | None = None,
    lost: Iterable[str] = (),
    block_bytes: int = BLOCK_BYTES,
    checked_bytes: int = CHECKED_BYTES,
) -> None:
    """Raise the error that a load would raise, as far as the beginning of the file shows.

    Parameters
    ----------
    files : MovieLensFiles
    known_movie_ids : array_like of int
    progress : callable, optional
    limits : Limits, optional
        Of the file; `ANYTHING` by default.
    lost : iterable of str
        Text of the rows of movies.csv that did not load.
    block_bytes : int
    checked_bytes : int
        At least as many bytes are parsed, and more until there is a rating.

    Raises
    ------
    DatasetError
    """
    limits = limits or ANYTHING
    with RatingScan(files, known_movie_ids, progress=progress, block_bytes=block_bytes) as scan:
        complete = True
        for _ in scan.blocks():
            if scan.evidence.accepted and scan.end.byte >= checked_bytes and scan.end.byte < scan.size:
                complete = False
                break
        scan.check_rest()
        misfit = misfit_of_ratings(
            files.rating_file,
            scan.reject_counts(),
            scan.evidence,
            limits,
            movies=files.movie_file.shown,
            lost=lost,
            complete=complete,
        )
    if misfit is not None:
        raise DatasetError(misfit)
