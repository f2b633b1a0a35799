"""Reading a file of ratings: 20 million rows in seconds, every bad row kept with its reason.

Belongs here: the whole file in memory, and whether it holds ratings at all. Does not: the pass over it and
what makes a rating (`rating_scan`), which of two ratings of a movie counts (`duplicates`), storing anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.duplicates import find_losers, pair_key
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.judgement import Limits, misfit_of_ratings
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.rating_rows import BLOCK_BYTES
from movierec_assets.datasets.rating_scan import Accepted, IntArray, RatingScan, counted
from movierec_assets.datasets.rejects import Rejects
from movierec_assets.progress import Progress

CHECKED_BYTES = 64 << 20
"""Bytes of a file that are looked at before movies are replaced: what does not fit shows in two million ratings."""
ANYTHING = Limits(rejected_share=1.0, unordered=True)
"""Limits that every file keeps to of which at least one row loads."""


@dataclass(frozen=True)
class Ratings:
    """The ratings of a file, in file order, one per (user, movie).

    Attributes
    ----------
    user_id, movie_id : int32 array, shape (n,)
        Ids as in the file.
    rating : float32 array, shape (n,)
        Stars, 0.5 to 5.0 in steps of one half.
    rated_at : int64 array, shape (n,)
        Unix seconds.
    rows_read : int
        Rows in the file, header and blank lines left out; always `len(self) + len(rejects)`.
    rows_complete : int
        Rows in which every column has a value, whether or not it is a valid one.
    rejects : Rejects
        The rows that did not load.
    misfit : str or None
        Why a load would refuse the file, in words; None when it would not.
    assumed_utc : int
        Rows whose times name no zone, so that UTC was assumed.
    """

    user_id: npt.NDArray[np.int32]
    movie_id: npt.NDArray[np.int32]
    rating: npt.NDArray[np.float32]
    rated_at: IntArray
    rows_read: int
    rows_complete: int
    rejects: Rejects
    misfit: str | None = None
    assumed_utc: int = 0

    def __len__(self) -> int:
        return len(self.user_id)


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
    if its timestamp is before 1995: digits that were cut off make that of any later one. Of two ratings of a movie by
    one user the later timestamp wins, and the later line where timestamps are equal.

    Parameters
    ----------
    files : MovieLensFiles
        The dataset.
    known_movie_ids : array_like of int
        Ids of the movies that may be rated, as from `read_movies(files).movie_id`.
    progress : callable, optional
        Called with (bytes done, bytes in all) after each block.
    now : float, optional
        Unix time that "tomorrow" is counted from; the present by default.
    block_bytes : int
        Bytes read at a time. Memory beyond the result is a small multiple of it.
    limits : Limits, optional
        That `misfit` is judged by; the defaults of the settings otherwise.

    Returns
    -------
    Ratings

    Raises
    ------
    DatasetError
        If the file has no readable header, changes while it is read, or holds no row that loads.
    """
    with RatingScan(files, known_movie_ids, progress=progress, now=now, block_bytes=block_bytes) as scan:
        rows = Accepted.joined(list(scan.blocks()))
        losers = find_losers(pair_key(rows.user_id, rows.movie_id), rows.rated_at, rows.line)
        at_hand = scan.tally(), scan.evidence
        misfit = misfit_of_ratings(files.rating_file, *at_hand, limits or Limits(), movies=files.movie_file.shown)
        if len(rows) == 0:
            raise DatasetError(str(misfit))
        rejects = scan.rejects(losers)
    if len(losers):
        keep = np.ones(len(rows), np.bool_)
        keep[losers.position] = False
        rows = rows.chosen(keep)
    complete = len(rows) + counted(rejects)
    return Ratings(
        *(rows.user_id, rows.movie_id, rows.rating, rows.rated_at),
        rows_read=len(rows) + len(rejects),
        rows_complete=complete,
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
    """Raise what a load would, as far as the beginning of the file tells.

    Parameters
    ----------
    files : MovieLensFiles
    known_movie_ids : array_like of int
    progress : callable, optional
    limits : Limits, optional
        What the file must keep to; anything that has one rating fits without.
    lost : iterable of str
        Rows of movies.csv that did not load, as text.
    block_bytes : int
    checked_bytes : int
        Bytes to parse at least, and until there is a rating.

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
            scan.tally(),
            scan.evidence,
            limits,
            movies=files.movie_file.shown,
            lost=lost,
            complete=complete,
        )
    if misfit is not None:
        raise DatasetError(misfit)
