"""Whether files are the dataset that is loaded, or another one in its place, by a look at their beginning.

Belongs here: the look. Does not: what follows from it (`keep`), the exact comparison of a load (`identity`).

A file that was appended to, corrected, or written in another order is the same dataset. One whose movies or pairs of
user and movie are others is another one.
"""

from __future__ import annotations

from typing import NamedTuple

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.identity import SAME_PAIRS, Catalogue, Contents
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.loaded_from import LoadedFrom
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.rating_scan import RatingScan
from movierec_assets.ratings import pair_key

HEAD_BYTES = 4 << 20
"""Beginning of the file of ratings that is read: about 150,000 rows."""
LARGEST_GROWTH = 4.0
"""A file of twice the size may have half of its pairs from before; beyond this growth no fewer are enough."""

_MOST_SEEN = 16


class _Stamp(NamedTuple):
    """State of files, and the load that they are compared with; one look at each is enough."""

    files: tuple[tuple[str, int, int], ...]
    version: str


_seen: dict[_Stamp, bool] = {}


def holds_another(files: MovieLensFiles, loaded: LoadedFrom) -> bool:
    """Whether files hold another dataset than the loaded one.

    Files that cannot be read do not: loading them says why. The files are read once for each state of them.
    """
    if loaded.contents is None:
        return False
    try:
        found = [(str(path), path.stat()) for path in (files.ratings, *files.catalogue)]
        stamp = _Stamp(tuple((path, state.st_size, state.st_mtime_ns) for path, state in found), loaded.version)
        if loaded.bytes == (size := stamp.files[0][1]):  # no other dataset has the same size to the byte
            return False
        if stamp not in _seen:
            contents = loaded.contents()
            if len(_seen) >= _MOST_SEEN:
                _seen.clear()
            _seen[stamp] = contents is not None and is_another(files, contents, size / (loaded.bytes or size))
        return _seen[stamp]
    except (DatasetError, OSError):
        return False


def is_another(files: MovieLensFiles, contents: Contents, growth: float) -> bool:
    """Compare the movies and the first ratings of files with the contents of a dataset.

    Parameters
    ----------
    files : MovieLensFiles
    contents : Contents
    growth : float
        Size of the file of ratings by its size when the dataset was loaded.

    Raises
    ------
    DatasetError
        When the files cannot be read.
    """
    movies = read_movies(files)
    if not contents.catalogue.agrees_with(Catalogue.of(movies.movie_id, movies.title)):
        return True
    with RatingScan(files, movies.movie_id, block_bytes=HEAD_BYTES) as scan:
        head = next(scan.blocks(), None)
    share = None if head is None else contents.pairs.share_of(pair_key(head.user_id, head.movie_id))
    return share is not None and share < SAME_PAIRS / min(max(growth, 1.0), LARGEST_GROWTH)
